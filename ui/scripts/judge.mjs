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
  // Every screen begins where a new user does, or on the page that is asked for.
  localStorage.clear();
  const page = new URLSearchParams(location.search).get('page');
  if (page) localStorage.setItem('wakeflash.view', JSON.stringify({ page }));
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

/**
 * What is wrong with the screen. `whole`: also with what lies under a dialog or a menu, which costs time. `colours`: all
 * else was judged in other colours.
 */
export function judge(browser, whole, colours) {
  return browser.run(objections, whole, colours);
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
async function objections(whole, colours) {
  const { axe, faults } = window;
  const scrolls = (element) => axe.utils.getScroll(element) !== undefined;
  const above = (element) =>
    element.parentElement ? [element.parentElement, ...above(element.parentElement)] : [];
  const all = [...document.querySelectorAll('*')];
  const over = document.querySelector('[aria-modal="true"], [role="menu"]');
  const start = whole ? document : (over ?? document);

  // Their arrow is a picture next to the text, which would keep its contrast from being judged.
  const selects = all.filter((element) => element.matches('select'));
  for (const select of selects) select.style.backgroundImage = 'none';
  let { told, failed } = await look({ include: start, exclude: [] });
  if (failed.length > 0) {
    // Where something scrolls inside of what scrolls and its middle is out of view, axe gives up on every contrast, and
    // says so in `incomplete` only. Then such parts are brought into view and judged by themselves.
    const inner = all.filter((element) => scrolls(element) && above(element).some(scrolls));
    ({ told, failed } = await look({ include: start, exclude: inner }));
    for (const part of inner) {
      const places = above(part).map((one) => [one, one.scrollLeft, one.scrollTop]);
      part.scrollIntoView({ block: 'center' });
      const more = await look({ include: part, exclude: [] });
      told.push(...more.told);
      failed.push(...more.failed);
      for (const [one, left, top] of places) one.scrollTo(left, top);
    }
  }
  for (const select of selects) select.style.backgroundImage = '';

  const wide = all.filter((one) => movesSideways(one) || sticksOut(one));
  const cut = all.filter(isCutUnsaid);
  return [
    ...told,
    ...failed,
    ...faults,
    ...wide.map((one) => `too wide: ${one.outerHTML.slice(0, 160)}`),
    ...cut.map((one) => `cut off without a sign or a tooltip: ${one.outerHTML.slice(0, 160)}`),
  ];

  async function look(context) {
    const options = { resultTypes: ['violations', 'incomplete'], preload: false };
    if (colours) options.runOnly = ['color-contrast', 'link-in-text-block'];
    const { violations, incomplete } = await axe.run(context, options);
    return {
      told: violations.filter((violation) => !isMenu(violation)).map(inWords),
      failed: incomplete.flatMap(({ id, error }) => (error ? `${id}: ${error.message}` : [])),
    };
  }

  function movesSideways(one) {
    return scrolls(one) && one.scrollWidth > one.clientWidth;
  }

  /** Text that is cut off, and either nothing shows that, or no tooltip has all of it. */
  function isCutUnsaid(one) {
    const style = getComputedStyle(one);
    if (style.overflowX === 'visible' || one.matches('.visually-hidden, input, select, svg *')) {
      return false;
    }
    const clamped = style.webkitLineClamp !== 'none';
    const cutX = one.scrollWidth > one.clientWidth + 1 && !scrolls(one);
    const cutY = clamped && one.scrollHeight > one.clientHeight + 8;
    const text = one.textContent.trim() !== '' && one.checkVisibility({ visibilityProperty: true });
    if (!text || one.clientWidth < 2 || !(cutX || cutY)) return false;
    const shown = clamped || style.textOverflow === 'ellipsis';
    return !shown || one.closest('[data-tip]') === null;
  }

  /** Out of the window by a pixel that can be seen, and not cut off before its edge. */
  function sticksOut(one) {
    const outside = (left, right) => left < -0.5 || right > innerWidth + 0.5;
    let { left, right } = one.getBoundingClientRect();
    if (!outside(left, right) || !one.checkVisibility({ visibilityProperty: true })) return false;
    for (const place of above(one)) {
      if (place === document.body) break;
      if (getComputedStyle(place).overflowX === 'visible') continue;
      left = Math.max(left, place.getBoundingClientRect().left);
      right = Math.min(right, place.getBoundingClientRect().right);
    }
    return left < right && outside(left, right);
  }

  function inWords({ id, nodes }) {
    const words = nodes.map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`);
    return `${id}: ${words.join(' | ')}`;
  }

  /** A menu lies outside of all landmarks, which is how it is meant to be. */
  function isMenu({ id, nodes }) {
    return id === 'region' && nodes.every(({ html }) => html.includes('data-bits-floating'));
  }
}
