/**
 * Drives a headless Chromium over its debugging pipe: no further package, no port.
 * WAKEFLASH_CHROMIUM names the program; else the usual names on PATH are tried.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

export function findBrowser() {
  const chosen = process.env.WAKEFLASH_CHROMIUM;
  const names = chosen ? [chosen] : NAMES;
  const found = names.find((name) => spawnSync(name, ['--version']).status === 0);
  if (!found)
    throw new Error('There is no Chromium: install it, or name it in WAKEFLASH_CHROMIUM.');
  return found;
}

/** One page of a browser of its own. */
export class Browser {
  #process;
  #profile;
  #next = 1;
  #pending = new Map();
  #rest = '';
  #session;

  static async start() {
    const browser = new Browser();
    const { targetId } = await browser.#send('Target.createTarget', { url: 'about:blank' });
    const attached = await browser.#send('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = attached.sessionId;
    await browser.send('Page.enable');
    await browser.send('Runtime.enable');
    return browser;
  }

  constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'wakeflash-pictures-'));
    const options = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      '--force-color-profile=srgb',
      '--font-render-hinting=none',
      '--no-first-run',
      '--disable-background-networking',
      '--remote-debugging-pipe',
      `--user-data-dir=${this.#profile}`,
    ];
    this.#process = spawn(findBrowser(), options, {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#process.stdio[4].setEncoding('utf8').on('data', (text) => this.#receive(text));
    this.#process.on('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('The browser has ended.'));
    });
  }

  #receive(text) {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop() ?? '';
    for (const message of messages.map((one) => JSON.parse(one))) {
      const waiting = this.#pending.get(message.id);
      if (!waiting) continue;
      this.#pending.delete(message.id);
      if (message.error) waiting.reject(new Error(message.error.message));
      else waiting.resolve(message.result);
    }
  }

  #send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  send(method, params) {
    return this.#send(method, params, this.#session);
  }

  /** What a script answers, which may be a promise. */
  async run(script) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression: script,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** `text`: how large the text is; 2 is 200 %. */
  async resize({ width, height, text = 1, scale = 1 }) {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: scale,
      mobile: false,
    });
    this.text = text;
  }

  async colours(scheme) {
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  async open(url) {
    await this.send('Page.navigate', { url });
    await this.until("document.readyState === 'complete' && document.querySelector('#app > *')");
    if (this.text !== 1) {
      // As WebKit's text zoom and the browsers' minimum font size do: `rem` grows, the window doesn't.
      await this.run(`document.documentElement.style.fontSize = '${16 * this.text}px'`);
    }
    await this.run('document.fonts.ready.then(() => true)');
  }

  async until(condition) {
    for (let tries = 0; tries < 200; tries += 1) {
      if (await this.run(`Boolean(${condition})`)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`It never came to be: ${condition}`);
  }

  /** Presses a key, such as `Control+k`. */
  async press(keys) {
    const names = keys.split('+');
    const key = names.pop() ?? '';
    const bits = { Alt: 1, Control: 2, Meta: 4, Shift: 8 };
    const modifiers = names.reduce((sum, name) => sum | bits[name], 0);
    const event = { key, modifiers, text: key.length === 1 && modifiers === 0 ? key : undefined };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, modifiers });
  }

  async picture() {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  async stop() {
    const ended = new Promise((resolve) => this.#process.on('exit', resolve));
    await this.#send('Browser.close').catch(() => undefined);
    await ended;
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
