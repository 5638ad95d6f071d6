/**
 * Draws every screen in light and dark, and lets axe judge each of them in a real browser.
 *
 *   npm run screenshots                 the pictures of the documentation, into docs/screenshots
 *   npm run screenshots -- --check      every screen in every width and at 200 % text, judged by axe
 *   ... -- --out DIR --only drawer,menu --sizes narrow,large   what is looked at while designing
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Browser } from './browser.mjs';
import { SCREENS } from './screens.mjs';
import { serveStories } from './serve.mjs';

const SIZES = {
  wide: { width: 1280, height: 800 },
  middle: { width: 900, height: 760 },
  narrow: { width: 480, height: 800 },
  large: { width: 1280, height: 900, text: 2 },
};
/** Those that the documentation shows. */
const SHOWN = [
  'window',
  'drawer',
  'device',
  'waiting',
  'update-all',
  'update-all-bare',
  'settings',
  'first-run',
];

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    out: { type: 'string' },
    only: { type: 'string' },
    sizes: { type: 'string' },
  },
});
const out = values.out ?? fileURLToPath(new URL('../../docs/screenshots', import.meta.url));
const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
/** A check needs no pictures, unless somebody wants to look at them. */
const draws = !values.check || values.out !== undefined;
const everything = values.check || values.out !== undefined;
const names = values.only?.split(',') ?? (everything ? SCREENS.map(({ name }) => name) : SHOWN);
const sizes = values.sizes?.split(',') ?? (values.check ? Object.keys(SIZES) : ['wide']);

/** Everything that axe objects to, and what sticks out of the window. */
const JUDGE = `(async () => {
  const { violations } = await axe.run(document);
  // A menu lies outside of all landmarks, which is how it is meant to be.
  const menu = (v) => v.id === 'region' && v.nodes.every((node) => node.html.includes('data-bits-floating'));
  const told = violations.filter((v) => !menu(v)).map((v) => v.id + ': ' + v.nodes
    .map((node) => node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? '')).join(' | '));
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) told.push('wider than the window: ' + wide);
  return told;
})()`;

const stories = await serveStories();
const browser = await Browser.start();
let objections = 0;
try {
  if (draws) mkdirSync(out, { recursive: true });
  for (const screen of SCREENS.filter(({ name }) => names.includes(name))) {
    for (const size of sizes) {
      await browser.resize(SIZES[size]);
      for (const scheme of ['light', 'dark']) {
        await browser.colours(scheme);
        await show(screen);
        const name = `${screen.name}${size === 'wide' ? '' : `-${size}`}-${scheme}`;
        if (draws) writeFileSync(join(out, `${name}.png`), await browser.picture());
        await browser.run(axe);
        for (const objection of await browser.run(JUDGE)) {
          objections += 1;
          console.error(`${name}: ${objection}`);
        }
      }
    }
  }
} finally {
  await browser.stop();
  await stories.stop();
}
console.log(`${names.length} screens, ${objections} objections`);
process.exit(objections > 0 ? 1 : 0);

async function show({ story, steps, keys }) {
  await browser.open(stories.url(story));
  // Nothing moves while it is looked at.
  await browser.run(
    `document.head.append(Object.assign(document.createElement('style'), { textContent:
      '*, *::before, *::after { transition: none !important; animation-play-state: paused !important; caret-color: transparent !important }' }))`,
  );
  await settle();
  for (const step of steps) {
    await browser.run(step);
    await settle();
  }
  for (const key of keys) {
    await browser.press(key);
    await settle();
  }
  // Only now does the story's clock begin to matter: no focus ring from the script's own clicks.
}

async function settle() {
  await browser.run('new Promise((done) => setTimeout(done, 120))');
}
