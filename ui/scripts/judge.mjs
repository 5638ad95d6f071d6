/** Brings the window to one of its screens, and judges what is there. */
import { readFileSync } from 'node:fs';

/** One moment for all: times are the same in each picture and each run. */
const NOW = '2026-10-14T10:24:00Z';

/** Runs before the page's own scripts. */
export const HEAD = `
  const now = Date.parse('${NOW}');
  window.Date = class extends Date {
    constructor(...given) { super(...(given.length > 0 ? given : [now])); }
    static now() { return now; }
  };
  window.faults = [];
  addEventListener('error', ({ message }) => faults.push(message));
  addEventListener('unhandledrejection', ({ reason }) => faults.push(String(reason)));
  // What comes and goes by itself: the caret, and WebKit's bars over what scrolls.
  document.head.insertAdjacentHTML('beforeend',
    '<style>* { caret-color: transparent !important; scrollbar-width: none !important }</style>');
`;

const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Opens a story and goes to one of its screens. */
export async function show(browser, url, { steps, keys, shows }) {
  await browser.open(url);
  await browser.run(settled);
  for (const step of steps) {
    await browser.until(step);
    await browser.run(settled);
  }
  for (const key of keys) {
    await browser.press(key);
    await browser.run(settled);
  }
  await browser.until(`document.querySelector('${shows}')`);
  await browser.run(settled);
  await browser.run((source) => void new Function(source)(), AXE);
}

/** As when the user makes the window smaller, or the text larger: `rem` grows with it, the window doesn't. */
export async function change(browser, { shows }, { text = 1, ...size }) {
  await browser.resize(size);
  await browser.run(`void (document.documentElement.style.fontSize = '${100 * text}%')`);
  await browser.run(settled);
  if (await browser.run(`document.querySelector('${shows}') === null`)) {
    throw new Error(`It has gone: ${shows}`);
  }
}

/** What is wrong with the screen. */
export function judge(browser) {
  return browser.run(objections);
}

/* The following run in the page. */

/** Waits until nothing changes any more, neither elements nor fonts nor by animation, for six frames and 80 ms. */
function settled() {
  return new Promise((done, fail) => {
    const began = performance.now();
    let [frames, since] = [0, began];
    const again = () => ([frames, since] = [0, performance.now()]);
    const watch = new MutationObserver(again);
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    watch.observe(document, all);
    const look = () => {
      if (document.getAnimations().length > 0 || document.fonts.status !== 'loaded') again();
      frames += 1;
      const now = performance.now();
      if (now - began > 30_000) fail(new Error('The page doesn’t come to rest.'));
      else if (frames <= 6 || now - since < 80) return requestAnimationFrame(look);
      else done();
      watch.disconnect();
    };
    requestAnimationFrame(look);
  });
}

/** What axe objects to, what is wider than its place, and errors of the page. */
async function objections() {
  const { axe, faults } = window;
  const told = [...faults];
  const scrolls = (element) => axe.utils.getScroll(element) !== undefined;
  const above = (element) =>
    element.parentElement ? [element.parentElement, ...above(element.parentElement)] : [];
  const all = [...document.querySelectorAll('*')];
  // What scrolls inside of what scrolls must be in view: else axe gives up on every contrast, and says so nowhere but
  // in `incomplete`. So it is judged by itself.
  const inner = all.filter((element) => scrolls(element) && above(element).some(scrolls));
  // Their arrow is a picture next to the text, which would keep its contrast from being judged.
  const selects = all.filter((element) => element.matches('select'));

  for (const select of selects) select.style.backgroundImage = 'none';
  await look({ exclude: inner });
  for (const part of inner) {
    const places = above(part).map((element) => [element, element.scrollLeft, element.scrollTop]);
    part.scrollIntoView({ block: 'center' });
    await look({ include: part });
    for (const [element, left, top] of places) element.scrollTo(left, top);
  }
  for (const select of selects) select.style.backgroundImage = '';

  // The filters alone are meant to be moved sideways.
  const wide = all.filter(
    (element) =>
      element === document.documentElement ||
      (scrolls(element) && !element.matches('[data-testid="summary"]')),
  );
  for (const { scrollWidth, clientWidth, outerHTML } of wide) {
    if (scrollWidth > clientWidth) {
      told.push(`${scrollWidth} px in ${clientWidth} px: ${outerHTML.slice(0, 160)}`);
    }
  }
  return told;

  async function look(part) {
    const options = { resultTypes: ['violations', 'incomplete'], preload: false };
    const { violations, incomplete } = await axe.run(part, options);
    for (const { id, error } of incomplete) {
      if (error) told.push(`${id}: ${error.message}`);
    }
    for (const { id, nodes } of violations) {
      if (isMenu(id, nodes)) continue;
      const words = nodes.map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`);
      told.push(`${id}: ${words.join(' | ')}`);
    }
  }

  /** A menu lies outside of all landmarks, which is how it is meant to be. */
  function isMenu(id, nodes) {
    return id === 'region' && nodes.every(({ html }) => html.includes('data-bits-floating'));
  }
}
