/**
 * Measures the window on the fake backend: start to painted list, and what jumping between filters, scrolling and
 * typing cost, without and with 100 devices that change their state every second. Long tasks are those that the
 * browser itself reports. Times of the processor tell how much work it is, whatever else the machine does.
 */
import { Browser } from './browser.mjs';
import { serveStories } from './serve.mjs';

const RUNS = 7;

/** Runs before the page's own scripts. */
const WATCH = `
  window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: 'longtask', buffered: true });
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

async function processor() {
  const { metrics } = await browser.send('Performance.getMetrics');
  return 1_000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0);
}

const stories = await serveStories();
const browser = await Browser.start();
try {
  await browser.resize({ width: 1280, height: 800 });
  await browser.colours('light');
  await browser.send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
  await browser.send('Performance.enable', { timeDomain: 'threadTicks' });
  for (const story of ['demo', 'many']) {
    const painted = [];
    for (let run = 0; run < RUNS; run += 1) {
      await browser.open(stories.url(story));
      await browser.until('window.painted');
      painted.push(await browser.run('window.painted'));
    }
    console.log(`${story}: start to painted list: ${words(painted)}`);
  }
  for (const story of ['many', 'storm']) {
    await browser.open(stories.url(story));
    await browser.until('window.painted');
    await browser.run('new Promise((done) => setTimeout(done, 1000))');
    for (const [name, acts] of Object.entries(ACTS)) {
      const [waits, work] = [[], []];
      await browser.run('void (tasks.length = 0)');
      for (const act of acts) {
        const before = await processor();
        waits.push(await browser.run(`timed(() => { ${act} })`));
        work.push((await processor()) - before);
      }
      const tasks = await browser.run('tasks');
      console.log(
        `${story}: ${name}: until painted ${words(waits)}; processor ${words(work)}; ` +
          `tasks over 50 ms: ${tasks.length}`,
      );
    }
  }
} finally {
  await browser.stop();
  await stories.stop();
}
process.exit(0);
