/**
 * Shows every screen in the web view that the application uses, light and dark, draws it, and lets axe judge it.
 *
 *   npm run screenshots                 the pictures of the documentation, into docs/screenshots
 *   npm run screenshots -- --check      judges every screen: wide, narrow and at 200 % text; draws nothing
 *   ... -- --out DIR --only drawer,menu --sizes narrow,large   what is looked at while designing
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Browser } from './browser.mjs';
import { change, HEAD, judge, show } from './judge.mjs';
import { SCREENS } from './screens.mjs';
import { serveStories } from './serve.mjs';

const SIZES = {
  wide: { width: 1280, height: 800 },
  /** Nothing lies below the window's edge, where contrasts aren't judged. */
  tall: { width: 1280, height: 1900 },
  middle: { width: 900, height: 760 },
  narrow: { width: 480, height: 800 },
  large: { width: 1280, height: 800, text: 2 },
};
const CHECKED = ['tall', 'narrow', 'large'];
/**
 * So many browsers at once: each waits most of the time until its page has come to rest. In the dark only colours are
 * other ones, so nothing else is judged there, and not at the size that shows the same parts, only larger.
 */
const BROWSERS = ['light', 'light', 'dark'];
const CHECKED_DARK = ['tall', 'narrow'];
/** No page lives long enough to be worth compiling its scripts thoroughly: without, a third of the time is saved. */
const SHORT_LIVED = { JSC_useDFGJIT: 'false' };

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    out: { type: 'string' },
    only: { type: 'string' },
    sizes: { type: 'string' },
  },
});
const out = values.out ?? fileURLToPath(new URL('../../docs/screenshots', import.meta.url));
/** A check needs no pictures, unless somebody wants to look at them. */
const draws = !values.check || values.out !== undefined;
const sizes = values.sizes?.split(',') ?? (values.check ? CHECKED : ['wide']);
const darkSizes = values.sizes || !values.check ? sizes : CHECKED_DARK;
const only = values.only?.split(',');
const screens = SCREENS.filter(({ name }) => !only || only.includes(name));

if (draws) mkdirSync(out, { recursive: true });
const stories = await serveStories(HEAD);
const counts = { passed: 0, failed: 0 };
/** What is left to be shown. */
const left = { light: [...screens], dark: [...screens] };
await Promise.all(BROWSERS.map(inScheme));
console.log(`${screens.length} screens: ${counts.passed} views passed, ${counts.failed} failed`);
process.exit(counts.failed > 0 ? 1 : 0);

async function inScheme(scheme) {
  const browser = await Browser.start(scheme, SHORT_LIVED);
  for (let screen = left[scheme].shift(); screen; screen = left[scheme].shift()) {
    await inSizes(browser, screen, scheme).catch((cause) => {
      throw new Error(`${screen.name}, ${scheme}: ${cause.message}`, { cause });
    });
  }
}

async function inSizes(browser, screen, scheme) {
  const own = screen.size ? [screen.size] : scheme === 'dark' ? darkSizes : sizes;
  await browser.resize(SIZES[own[0]]);
  await show(browser, `${stories(screen.story)}&page=${screen.page}`, screen);
  for (const size of own) {
    await change(browser, screen, SIZES[size]);
    const name = `${screen.name}${size === 'wide' ? '' : `-${size}`}-${scheme}`;
    if (draws) writeFileSync(join(out, `${name}.png`), smaller(await browser.picture()));
    const objections = await judge(browser, size === own[0], scheme === 'dark');
    for (const [words, expression] of screen.holds) {
      if (!(await browser.run(`Boolean(${expression})`))) objections.push(`not so: ${words}`);
    }
    counts[objections.length > 0 ? 'failed' : 'passed'] += 1;
    for (const objection of objections) console.error(`${name}: ${objection}`);
  }
}

/** As PNG: 256 colours without dithering look the same and take a third of the space. */
function smaller(picture) {
  const options =
    '-dither None -colors 256 -strip -define png:exclude-chunks=date,time ' +
    '-define png:compression-level=9 -define png:compression-filter=0';
  const { stdout, status, stderr } = spawnSync(
    'convert',
    ['ppm:-', ...options.split(' '), 'PNG8:-'],
    { input: picture },
  );
  if (status !== 0) throw new Error(`convert: ${stderr}`);
  return stdout;
}
