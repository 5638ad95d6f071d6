/**
 * Measures the window on the fake backend: start to painted list, long tasks while one jumps between filters,
 * scrolls and types, and the same while 100 devices change their state every second.
 */
import { Browser } from './browser.mjs';
import { serveStories } from './serve.mjs';

const RUNS = 5;

const WATCH = `
  window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: 'longtask', buffered: true });`;

/** From a key or click until the next picture after it. */
const TIMED = `
  window.timed = async (act) => {
    const began = performance.now();
    act();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - began;
  };
  window.pause = (ms) => new Promise((done) => setTimeout(done, ms));
  window.find = (id) => document.querySelector('[data-testid="' + id + '"]');
  window.type = (text) => {
    const field = find('search');
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  };`;

const FILTERS = `(async () => {
  const times = [];
  for (let round = 0; round < 4; round += 1)
    for (const name of ['waiting', 'working', 'attention', 'asleep', 'all']) {
      times.push(await timed(() => find('summary-' + name).click()));
      await pause(60);
    }
  return times;
})()`;

const SCROLL = `(async () => {
  const times = [];
  const list = find('device-scroll');
  for (let at = 0; at < 40; at += 1) {
    times.push(await timed(() => list.scrollTo(0, (at * 7919) % 50000)));
    await pause(20);
  }
  return times;
})()`;

const TYPE = `(async () => {
  const times = [];
  for (const text of ['l', 'la', 'lam', 'lamp', 'lamp 7', '', 'x', '']) {
    times.push(await timed(() => type(text)));
    await pause(60);
  }
  return times;
})()`;

function words(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0);
  return `median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(1)} ms`;
}

const stories = await serveStories();
const browser = await Browser.start();
try {
  await browser.resize({ width: 1280, height: 800 });
  await browser.colours('light');
  await browser.send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
  for (const story of ['demo', 'many']) {
    const painted = [];
    for (let run = 0; run < RUNS; run += 1) {
      await browser.open(stories.url(story));
      await browser.until(`document.querySelector('[data-testid=device-row]')`);
      painted.push(
        await browser.run(`new Promise((done) => requestAnimationFrame(() => setTimeout(() =>
          done(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0))))`),
      );
    }
    console.log(`${story}: start to painted list: ${words(painted)}`);
  }
  for (const story of ['many', 'storm']) {
    await browser.open(stories.url(story));
    await browser.until(`document.querySelector('[data-testid=device-row]')`);
    await browser.run(TIMED);
    await browser.run('pause(1000)');
    await browser.run('void (tasks.length = 0)');
    for (const [name, script] of Object.entries({
      filters: FILTERS,
      scroll: SCROLL,
      typing: TYPE,
    })) {
      console.log(`${story}: ${name}: ${words(await browser.run(script))}`);
    }
    const tasks = await browser.run('tasks');
    console.log(
      `${story}: tasks over 50 ms: ${tasks.length}${tasks.length ? `, ${words(tasks)}` : ''}`,
    );
  }
} finally {
  await browser.stop();
  await stories.stop();
}
process.exit(0);
