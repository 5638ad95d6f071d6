/**
 * Every screen of the window: the story it plays in, the steps and keys that lead to it, and what must be there in the
 * end, so that no other screen is taken for it. `size`: the only one that it is checked at; `holds`: what must be true
 * there, in words and as an expression.
 */
const named = (testid) => `[data-testid="${testid}"]`;
const then = (selector, act) =>
  `((found) => found && (${act}, true))(document.querySelector('${selector}'))`;
const click = (testid) => then(named(testid), 'found.click()');
const row = (device, testid) => then(`[data-device="${device}"] ${named(testid)}`, 'found.click()');
const open = (device) => row(device, 'open-details');

/** Whether all of a row is in the part of the list that is seen. */
const isInSight = (device) => `((row, list) => row.top >= list.top && row.bottom <= list.bottom)(
  document.querySelector('[data-device="${device}"]').getBoundingClientRect(),
  document.querySelector('${named('device-scroll')}').getBoundingClientRect())`;

/** Whether so many rows are to be seen once the page is scrolled to its list. */
const areInSight = (count) => `((list) => {
  list.scrollIntoView({ block: 'end' });
  const place = list.getBoundingClientRect();
  const top = Math.max(place.top + list.querySelector('.columns').offsetHeight, 0);
  const bottom = Math.min(place.bottom, innerHeight);
  const seen = [...list.querySelectorAll('${named('device-row')}')].filter((row) => {
    const { top: from, bottom: to } = row.getBoundingClientRect();
    return from >= top - 1 && to <= bottom + 1;
  });
  return seen.length >= ${count};
})(document.querySelector('${named('device-scroll')}'))`;

/** Everything that counts the same says the same number. */
const COUNTS_AGREE = `(() => {
  const seen = new Map();
  for (const one of document.querySelectorAll('[data-count]')) {
    const n = one.textContent.match(/\\d+/)[0];
    if ((seen.get(one.dataset.count) ?? n) !== n) return false;
    seen.set(one.dataset.count, n);
  }
  return true;
})()`;

export const SCREENS = [
  { name: 'home', page: 'home', story: 'demo', shows: 'next-line' },
  {
    name: 'home-drawer',
    page: 'home',
    story: 'demo',
    steps: [row('garden-soil-sensor.yaml', 'line-open')],
    shows: 'build-log',
  },
  {
    name: 'held-changes',
    page: 'home',
    story: 'changes',
    steps: [row('rain-gauge.yaml', 'line-open')],
    shows: 'changes',
  },
  { name: 'home-paused', page: 'home', story: 'paused', shows: 'next-line' },
  { name: 'home-many', page: 'home', story: 'many', shows: 'show-waiting' },
  { name: 'batch', page: 'home', story: 'batch', shows: 'batch' },
  { name: 'home-german', page: 'home', story: 'german', shows: 'next-line' },
  { name: 'nothing-waiting', page: 'home', story: 'first-home', shows: 'nothing-waiting' },
  {
    name: 'activity',
    page: 'home',
    story: 'demo',
    steps: [click('show-activity')],
    shows: 'activity-export',
  },
  { name: 'window', story: 'demo', shows: 'device-row' },
  {
    name: 'drawer',
    story: 'demo',
    steps: [open('garden-soil-sensor.yaml')],
    shows: 'build-log',
  },
  {
    name: 'drawer-log',
    story: 'demo',
    steps: [open('kitchen-display.yaml'), click('tab-log')],
    shows: 'device-log',
  },
  {
    name: 'drawer-recorded',
    story: 'demo',
    steps: [open('garden-soil-sensor.yaml'), click('tab-log'), click('recording')],
    shows: 'recorded-log',
  },
  {
    name: 'opened-below',
    story: 'demo',
    size: 'wide',
    steps: [
      then(named('device-scroll'), 'found.scrollTo(0, 150)'),
      then(
        '[data-device="kitchen-display.yaml"]',
        'window.height = found.getBoundingClientRect().height',
      ),
      open('kitchen-display.yaml'),
    ],
    shows: 'drawer',
    holds: [
      ['the row that was opened is in sight', isInSight('kitchen-display.yaml')],
      [
        'a row is as high beside the drawer as without it',
        `document.querySelector('[data-device="kitchen-display.yaml"]').getBoundingClientRect().height === window.height`,
      ],
    ],
  },
  {
    name: 'filtered-below',
    story: 'many',
    size: 'wide',
    steps: [then(named('device-scroll'), 'found.scrollTo(0, 9000)'), click('summary-waiting')],
    shows: 'device-row',
    holds: [
      [
        'the list begins at the top',
        `document.querySelector('${named('device-scroll')}').scrollTop === 0`,
      ],
    ],
  },
  {
    name: 'five-rows',
    story: 'demo',
    size: 'large',
    shows: 'device-row',
    holds: [['the headline makes room for five rows', areInSight(5)]],
  },
  {
    name: 'overdue',
    story: 'demo',
    steps: [open('cellar-leak-sensor.yaml')],
    shows: 'overdue',
  },
  {
    name: 'problems',
    story: 'trouble',
    steps: [click('banner-unfold')],
    shows: 'banner-store',
  },
  {
    name: 'rolled-back',
    story: 'demo',
    steps: [open('workshop-heater.yaml')],
    shows: 'help',
  },
  {
    name: 'discovered',
    story: 'demo',
    steps: [open('mdns/living-room-plug')],
    shows: 'facts',
  },
  {
    name: 'history',
    story: 'demo',
    steps: [open('kitchen-display.yaml'), click('tab-history')],
    shows: 'history-entry',
  },
  {
    name: 'device',
    story: 'demo',
    steps: [open('garden-soil-sensor.yaml'), click('tab-device')],
    shows: 'wake-plot',
  },
  { name: 'failed', story: 'demo', steps: [open('pond-level.yaml')], shows: 'help' },
  { name: 'update-all', story: 'demo', steps: [click('update-all')], shows: 'install-go' },
  {
    name: 'update-all-bare',
    story: 'no-esphome',
    steps: [click('update-all')],
    shows: 'install-dialog',
  },
  {
    name: 'selection',
    story: 'demo',
    steps: [
      row('garden-soil-sensor.yaml', 'select'),
      row('hallway-thermostat.yaml', 'select'),
      row('mailbox.yaml', 'select'),
    ],
    shows: 'selection-bar',
  },
  {
    name: 'no-match',
    story: 'demo',
    steps: [click('search')],
    keys: ['/', 'x', 'q'],
    shows: 'no-match',
  },
  {
    name: 'menu',
    story: 'demo',
    steps: [row('attic-lights.yaml', 'row-menu')],
    shows: 'menu-address',
  },
  {
    name: 'areas',
    story: 'demo',
    steps: [click('view-menu'), click('menu-group-area')],
    shows: 'group',
  },
  {
    name: 'areas-many',
    story: 'many',
    steps: [
      click('view-menu'),
      click('menu-group-area'),
      then(named('device-scroll'), 'found.scrollTo(0, 7000)'),
    ],
    // In another size other rows are in sight, and among them there needn't be a group's head.
    shows: 'device-scroll',
  },
  { name: 'view-menu', story: 'demo', steps: [click('view-menu')], shows: 'menu-column-area' },
  {
    name: 'labels',
    story: 'demo',
    steps: [
      row('garden-soil-sensor.yaml', 'select'),
      row('mailbox.yaml', 'select'),
      click('bulk-label'),
    ],
    shows: 'labels-dialog',
  },
  { name: 'main-menu', story: 'demo', steps: [click('main-menu')], shows: 'menu-quit' },
  {
    name: 'address',
    story: 'demo',
    steps: [row('mailbox.yaml', 'row-menu'), click('menu-address')],
    shows: 'address-input',
  },
  { name: 'palette', story: 'demo', keys: ['Control+k'], shows: 'palette' },
  { name: 'keys', story: 'demo', keys: ['?'], shows: 'keys' },
  {
    name: 'confirm',
    story: 'demo',
    steps: [row('greenhouse.yaml', 'primary-action')],
    shows: 'confirm-yes',
  },
  { name: 'settings', story: 'demo', steps: [click('open-settings')], shows: 'settings' },
  {
    name: 'settings-end',
    story: 'demo',
    steps: [click('open-settings'), then(named('settings'), 'found.scrollTo(0, 1e6)')],
    shows: 'version',
  },
  { name: 'first-run', story: 'first-run', shows: 'config-dir-candidate' },
  { name: 'first-run-box', story: 'first-run', steps: [click('place-box')], shows: 'place-input' },
  { name: 'first-run-bare', story: 'first-run-bare', shows: 'esphome-install' },
  {
    name: 'trouble',
    story: 'trouble',
    steps: [],
    shows: 'banner-problems',
  },
  {
    name: 'refused',
    story: 'refuses',
    steps: [row('pond-level.yaml', 'primary-action')],
    shows: 'problem',
  },
  { name: 'no-network', story: 'no-network', shows: 'banner-network' },
  { name: 'installing-esphome', story: 'installing-esphome', shows: 'banner-esphome' },
  { name: 'paused', story: 'paused', shows: 'banner-paused' },
  { name: 'empty', story: 'empty', shows: 'no-devices' },
  { name: 'reading', story: 'reading', shows: 'reading' },
  { name: 'unseen', story: 'unseen', steps: [click('update-all')], shows: 'install-dialog' },
  { name: 'start-problem', story: 'start-problem', shows: 'start-problem' },
  { name: 'damaged', story: 'damaged', shows: 'restore-backup' },
  { name: 'closing', story: 'closing', shows: 'confirm' },
  { name: 'many', story: 'many', shows: 'device-row' },
  {
    name: 'german',
    story: 'german',
    steps: [open('garden-soil-sensor.yaml')],
    shows: 'build-log',
  },
  {
    name: 'german-settings',
    story: 'german',
    steps: [click('open-settings')],
    shows: 'settings',
  },
].map((screen) => ({
  page: 'devices',
  steps: [],
  keys: [],
  ...screen,
  holds: [['what is counted twice is the same', COUNTS_AGREE], ...(screen.holds ?? [])],
  shows: named(screen.shows),
}));
