/** Every screen of the window: which story it plays in, and how one gets there. */
const click = (testid, index = 0) =>
  `document.querySelectorAll('[data-testid="${testid}"]')[${index}].click()`;
const row = (device, testid) =>
  `document.querySelector('[data-device="${device}"] [data-testid="${testid}"]').click()`;
const open = (device) => row(device, 'open-details');

export const SCREENS = [
  { name: 'window', story: 'demo', steps: [] },
  { name: 'drawer', story: 'demo', steps: [open('garden-soil-sensor.yaml')] },
  {
    name: 'history',
    story: 'demo',
    steps: [open('kitchen-display.yaml'), click('tab-history')],
  },
  {
    name: 'device',
    story: 'demo',
    steps: [open('garden-soil-sensor.yaml'), click('tab-device')],
  },
  { name: 'failed', story: 'demo', steps: [open('pond-level.yaml')] },
  { name: 'waiting', story: 'demo', steps: [click('open-waiting')] },
  { name: 'update-all', story: 'demo', steps: [click('update-all')] },
  { name: 'update-all-bare', story: 'no-esphome', steps: [click('update-all')] },
  {
    name: 'selection',
    story: 'demo',
    steps: [
      row('garden-soil-sensor.yaml', 'select'),
      row('hallway-thermostat.yaml', 'select'),
      row('mailbox.yaml', 'select'),
    ],
  },
  { name: 'menu', story: 'demo', steps: [row('garden-soil-sensor.yaml', 'row-menu')] },
  { name: 'main-menu', story: 'demo', steps: [click('main-menu')] },
  { name: 'address', story: 'demo', steps: [row('mailbox.yaml', 'row-menu'), 'ADDRESS'] },
  { name: 'palette', story: 'demo', keys: ['Control+k'], steps: [] },
  { name: 'keys', story: 'demo', keys: ['?'], steps: [] },
  { name: 'confirm', story: 'demo', steps: [row('greenhouse.yaml', 'primary-action')] },
  { name: 'settings', story: 'demo', steps: [click('open-settings')] },
  {
    name: 'settings-end',
    story: 'demo',
    steps: [click('open-settings'), `document.querySelector('.settings').scrollTo(0, 1e6)`],
  },
  { name: 'first-run', story: 'first-run', steps: [] },
  { name: 'first-run-bare', story: 'first-run-bare', steps: [] },
  { name: 'trouble', story: 'trouble', steps: [row('pond-level.yaml', 'primary-action')] },
  { name: 'installing-esphome', story: 'installing-esphome', steps: [] },
  { name: 'paused', story: 'paused', steps: [] },
  { name: 'empty', story: 'empty', steps: [] },
  { name: 'reading', story: 'reading', steps: [] },
  { name: 'unseen', story: 'unseen', steps: [click('update-all')] },
  { name: 'start-problem', story: 'start-problem', steps: [] },
  { name: 'closing', story: 'closing', steps: [] },
  { name: 'many', story: 'many', steps: [] },
  { name: 'german', story: 'german', steps: [open('garden-soil-sensor.yaml')] },
  { name: 'german-settings', story: 'german', steps: [click('open-settings')] },
].map((screen) => ({
  keys: [],
  ...screen,
  steps: screen.steps.map((step) =>
    step === 'ADDRESS'
      ? `document.querySelector('[data-testid="menu-address"]').dispatchEvent(new PointerEvent('pointerup', { bubbles: true })), document.querySelector('[data-testid="menu-address"]').click()`
      : step,
  ),
}));
