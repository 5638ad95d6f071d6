/**
 * Measures the page on the fake backend, in the web view that the application uses: start to painted list, and how long
 * jumping between filters, scrolling and typing take, without and with 100 devices that change their state every
 * second. WebKit tells of no long tasks: that a timer was more than 50 ms late stands for one. The application as a
 * whole, with real devices, is measured by `make bench-window`.
 */
import { Browser } from './browser.mjs';
import { serveStories } from './serve.mjs';

const RUNS = 7;

/** Runs before the page's own scripts. */
const WATCH = `
  localStorage.setItem('wakeflash.view', JSON.stringify({ page: 'devices' }));
  window.tasks = 0;
  let last = performance.now();
  // The next timer comes 4 ms later at the earliest.
  const beat = () => {
    const now = performance.now();
    if (now - last > 54) window.tasks += 1;
    last = now;
    setTimeout(beat);
  };
  beat();
  new MutationObserver((_, observer) => {
    if (!document.querySelector('[data-testid=device-row]')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.painted = performance.now())));
  }).observe(document, { childList: true, subtree: true });
  window.find = (id) => document.querySelector('[data-testid="' + id + '"]');
  window.type = (text) => {
    const field = find('search');
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  };
  window.timed = async (act) => {
    const began = performance.now();
    act();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - began;
  };`;

const names = ['waiting', 'working', 'attention', 'asleep', 'all', 'available', 'offline', 'all'];
const typed = ['l', 'la', 'lam', 'lamp', 'lamp 7', '', 'x', ''];
const ACTS = {
  'filter jumps': [...names, ...names].map((name) => `find('summary-${name}').click()`),
  'scroll jumps': Array.from(
    { length: 20 },
    (_, n) => `find('device-scroll').scrollTo(0, ${(n * 7919) % 50_000})`,
  ),
  typing: [...typed, ...typed].map((text) => `type('${text}')`),
};

function words(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return `median ${at(0.5).toFixed(0)} ms, worst ${at(1).toFixed(0)} ms`;
}

const stories = await serveStories(WATCH);
const browser = await Browser.start('light');
await browser.resize({ width: 1280, height: 800 });
for (const story of ['demo', 'many']) {
  const painted = [];
  for (let run = 0; run < RUNS; run += 1) {
    await browser.open(stories(story));
    await browser.until('window.painted');
    painted.push(await browser.run('window.painted'));
  }
  console.log(`${story}: start to painted list: ${words(painted)}`);
}
for (const story of ['many', 'storm']) {
  await browser.open(stories(story));
  await browser.until('window.painted');
  await browser.run('new Promise((done) => setTimeout(done, 1000))');
  for (const [name, acts] of Object.entries(ACTS)) {
    const waits = [];
    await browser.run('void (tasks = 0)');
    for (const act of acts) waits.push(await browser.run(`timed(() => { ${act} })`));
    const tasks = await browser.run('tasks');
    console.log(`${story}: ${name}: until painted ${words(waits)}; tasks over 50 ms: ${tasks}`);
  }
}
process.exit(0);
