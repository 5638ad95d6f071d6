/**
 * Drives the web view that the application uses, WebKitGTK, in the small browser that comes with it: by WebDriver,
 * which needs no further package. WAKEFLASH_MINIBROWSER names another MiniBrowser than the one of the library.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CORNER, Desktop, start } from './desktop.mjs';

const PATIENCE = 60_000;
const KEYS = { Shift: '\uE008', Control: '\uE009', Alt: '\uE00A' };

/** Distributions put it next to WebKit's own programs, which have no common place. */
function findMiniBrowser() {
  const chosen = process.env.WAKEFLASH_MINIBROWSER;
  if (chosen) return chosen;
  const below = existsSync('/usr/lib') ? readdirSync('/usr/lib').map((name) => `lib/${name}`) : [];
  const found = ['libexec', 'lib64', 'lib', ...below]
    .map((directory) => join('/usr', directory, 'webkit2gtk-4.1/MiniBrowser'))
    .find((path) => existsSync(path));
  if (!found) {
    throw new Error(
      'WebKitGTK has no MiniBrowser here: run `make setup`, or name it in WAKEFLASH_MINIBROWSER.',
    );
  }
  return found;
}

/** The driver can't be asked to take a port that is free. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One page of a browser on a desktop of its own, which prefers `scheme` (light or dark) and less motion. */
export class Browser {
  #desktop;
  #url;
  /** Where the page is on the screen. */
  #view;

  /** `environment`: what else the browser is told. */
  static async start(scheme, environment = {}) {
    const browser = new Browser();
    browser.#desktop = await Desktop.start();
    Object.assign(browser.#desktop.environment, environment);
    await browser.#startDriver();
    await browser.#startSession(scheme);
    return browser;
  }

  async #startDriver() {
    // Another program may take the port in the meantime.
    for (let tries = 0; tries < 5; tries += 1) {
      const port = await freePort();
      const options = { env: this.#desktop.environment, stdio: 'ignore' };
      const driver = start('WebKitWebDriver', [`--port=${port}`], options);
      let ended = false;
      void driver.gone.then(() => (ended = true));
      this.#url = `http://127.0.0.1:${port}`;
      for (const given = Date.now() + PATIENCE; !ended && Date.now() < given;) {
        if (await this.#call('GET', '/status').catch(() => null)) return;
        await pause(25);
      }
    }
    throw new Error('WebKitWebDriver does not start.');
  }

  async #startSession(scheme) {
    const args = ['--automation', ...(scheme === 'dark' ? ['--dark-mode'] : [])];
    const capabilities = {
      'webkitgtk:browserOptions': { binary: findMiniBrowser(), args },
      timeouts: { script: PATIENCE, pageLoad: PATIENCE },
    };
    const { sessionId } = await this.#call('POST', '/session', {
      capabilities: { alwaysMatch: capabilities },
    });
    this.#url += `/session/${sessionId}`;
    const asked = [`(prefers-color-scheme: ${scheme})`, '(prefers-reduced-motion: reduce)'];
    for (const query of asked) {
      if (await this.run(`matchMedia('${query}').matches`)) continue;
      throw new Error(`The browser doesn't do as it was asked to: ${query}`);
    }
    await this.resize({ width: 800, height: 600 });
    await this.until('document.hasFocus()');
  }

  async #call(method, path, body) {
    const answer = await fetch(this.#url + path, {
      method,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(2 * PATIENCE),
    });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.error}: ${value.message}`);
    return value;
  }

  /** What an expression, or a function that is called with `args`, answers in the page; it may be a promise. */
  run(script, ...args) {
    const call = typeof script === 'function' ? '(...arguments)' : '';
    return this.#call('POST', '/execute/sync', { script: `return (${script})${call}`, args });
  }

  /** Makes what a page sees of the window exactly so large. */
  async resize({ width, height }) {
    const seen = () => this.run('[innerWidth, innerHeight, outerHeight - innerHeight]');
    const wanted = `${width} x ${height}`;
    for (let tries = 0; tries < 40; tries += 1) {
      const [innerWidth, innerHeight, bar] = await seen();
      this.#view = { x: CORNER.x, y: CORNER.y + bar, width, height };
      if (`${innerWidth} x ${innerHeight}` === wanted) return;
      await this.#call('POST', '/window/rect', { ...CORNER, width, height: height + bar });
      await pause(25);
    }
    throw new Error(`The page's part of the window can't be made ${wanted}: ${await seen()}`);
  }

  async open(url) {
    await this.#call('POST', '/url', { url });
    await this.until("document.readyState === 'complete' && document.querySelector('#app > *')");
  }

  async until(condition) {
    const given = Date.now() + PATIENCE / 2;
    while (!(await this.run(`Boolean(${condition})`))) {
      if (Date.now() > given) throw new Error(`It never came to be: ${condition}`);
      await pause(25);
    }
  }

  /** Presses a key, such as `Control+k`. */
  async press(keys) {
    const values = keys.split('+').map((name) => KEYS[name] ?? name);
    const down = values.map((value) => ({ type: 'keyDown', value }));
    const up = values.reverse().map((value) => ({ type: 'keyUp', value }));
    const actions = [{ type: 'key', id: 'keyboard', actions: [...down, ...up] }];
    await this.#call('POST', '/actions', { actions });
  }

  /**
   * What is on the screen, once two looks see the same. WebDriver's own picture waits for the next time that something
   * is painted, which never comes in a page that stands still.
   */
  async picture() {
    let before;
    for (let tries = 0; tries < 40; tries += 1) {
      const now = await this.#desktop.picture(this.#view);
      if (before?.equals(now)) return now;
      before = now;
      await pause(100);
    }
    throw new Error('The picture keeps changing.');
  }
}
