import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import type { UpdateStateView } from '../src/lib/backend';
import { device, update } from '../src/lib/backend/fake/devices';
import { CLICKS, expectAccessible, inside, only, row, show, story } from './helpers';

const user = userEvent.setup(CLICKS);

describe('the list', () => {
  it('says every state in words, with one primary action', async () => {
    await show('demo');
    const states: [string, string, RegExp, string | null][] = [
      [
        'garden-soil-sensor.yaml',
        'waiting',
        /^Waiting for wake since .+2 attempts · Last: /,
        'Cancel',
      ],
      ['attic-lights.yaml', 'waiting', /^Waiting for the device since /, 'Cancel'],
      ['bathroom-fan.yaml', 'building', /^Building 40 %/, 'Cancel'],
      ['beehive-scale.yaml', 'queued', /^Queued, 2 builds ahead/, 'Cancel'],
      ['rain-gauge.yaml', 'held', /^Held: rain-gauge.yaml changed/, 'Rebuild'],
      ['greenhouse.yaml', 'flashing', /^Flashing 62 %/, 'Cancel'],
      ['doorbell.yaml', 'confirming', /^Confirming/, 'Cancel'],
      ['kitchen-display.yaml', 'installed', /^Installed 2 min ago/, 'Install'],
      ['pond-level.yaml', 'failed', /^Failed: The device refused the OTA password/, 'Retry'],
      ['workshop-heater.yaml', 'failed', /^Rolled back/, 'Retry'],
      [
        'stairs-motion.yaml',
        'cancelled',
        /^Cancelled 45 min ago.+may have got the image/,
        'Install',
      ],
      ['window-blind.yaml', 'none', /^No update yet/, 'Install'],
      ['coffee-machine.yaml', 'none', /^Nothing newer known/, 'Install'],
      ['hallway-thermostat.yaml', 'none', /^Its files have changed/, 'Install'],
      ['old-pump.yaml', 'broken', /can’t be read.+Line 14/, null],
      ['mdns/living-room-plug', 'none', /^No configuration/, null],
    ];
    for (const [id, state, words, button] of states) {
      const element = row(id);
      expect(element.dataset.state, id).toBe(state);
      expect(inside(element, 'update').textContent?.replace(/\s+/g, ' ').trim(), id).toMatch(words);
      const actions = [...element.querySelectorAll('[data-testid=primary-action]')];
      expect(actions.map((action) => action.textContent?.trim())).toEqual(button ? [button] : []);
    }
    expect(screen.getByTestId('discovered-section')).toBeInTheDocument();
    expect(screen.getByTestId('summary')).toHaveTextContent(
      /Waiting 4.*Working 5.*Needs attention 4/,
    );
    await expectAccessible();
  });

  it('installs at a click, and shows what comes', async () => {
    const backend = await show('quiet');
    await user.click(inside(row('mailbox.yaml'), 'primary-action'));
    expect(backend.calls).toContain('install mailbox.yaml');
    await waitFor(() => expect(row('mailbox.yaml').dataset.state).toBe('queued'));
    expect(screen.getByTestId('announcement')).toHaveTextContent('Mailbox: Queued, builds next');
  });

  it.each([
    ['what there is an update for', true, /1 when they wake/],
    ['nothing, and says so', false, /Nothing newer is known for any device/],
  ])('offers to update all: %s', async (_, updateAvailable, words) => {
    const backend = await show('quiet', {
      devices: [device('A', { updateAvailable, presence: 'asleep' })],
    });
    await user.click(screen.getByTestId('update-all'));
    await waitFor(() => expect(screen.getByTestId('install-dialog')).toHaveTextContent(words));
    const go = screen.queryByTestId('install-go');
    expect(go !== null).toBe(updateAvailable);
    if (go) await user.click(go);
    else await user.keyboard('{Escape}');
    await waitFor(() => expect(backend.calls).toEqual(updateAvailable ? ['install a.yaml'] : []));
  });

  it('searches and filters', async () => {
    await show('demo');
    await user.keyboard('/');
    await user.keyboard('rain');
    expect(screen.getAllByTestId('device-row')).toHaveLength(1);
    await user.keyboard('{Escape}');
    await user.click(screen.getByTestId('summary-attention'));
    expect(screen.getAllByTestId('device-row')).toHaveLength(4);
    await user.type(screen.getByTestId('search'), 'nothing like it');
    await expectAccessible(screen.getByTestId('no-match'));
    await user.click(screen.getByText('Show all devices'));
    expect(screen.getAllByTestId('device-row').length).toBeGreaterThan(10);
  });

  it('draws of a thousand what can be seen, wherever it is scrolled to', async () => {
    const heights = { '.device-list': 600, '.row-probe': 50, '.columns': 30 };
    vi.spyOn(Element.prototype, 'clientHeight', 'get').mockImplementation(function (this: Element) {
      return Object.entries(heights).find(([css]) => this.matches(css))?.[1] ?? 0;
    });
    await show('many');
    const scroll = screen.getByTestId('device-scroll');
    expect(row('attic-lamp-1.yaml')).toHaveAttribute('aria-setsize', '1002');
    for (const top of [0, 17, 20_000, 3_333]) {
      scroll.scrollTop = top;
      await fireEvent.scroll(scroll);
      const tops = screen.getAllByTestId('device-row').map((one) => parseFloat(one.style.top));
      const seen = tops.filter((y) => y + 50 > top - 30 && y < top + 570);
      expect(seen.length, `at ${top}`).toBeGreaterThanOrEqual(12);
      expect(new Set(seen).size, 'no two in the same place').toBe(seen.length);
      expect(Math.min(...seen)).toBeLessThanOrEqual(Math.max(0, top - 30));
      expect(Math.max(...seen) + 50).toBeGreaterThanOrEqual(top + 570);
      expect(tops.length, 'not many more').toBeLessThan(25);
    }
  });

  it('says what to do when it is empty', async () => {
    await show('empty');
    expect(screen.getByTestId('no-devices')).toHaveTextContent('/home/sam/esphome');
    await expectAccessible(screen.getByTestId('no-devices'));
  });

  it('says of what is queued that the queue is paused', async () => {
    await show('paused', only('demo', 'beehive-scale.yaml'));
    expect(row('beehive-scale.yaml')).toHaveTextContent('Queued, paused');
  });

  it('puts a failure aside, by its menu', async () => {
    const backend = await show('demo', only('demo', 'pond-level.yaml'));
    expect(screen.getByTestId('summary')).toHaveTextContent('Needs attention 1');
    await user.click(inside(row('pond-level.yaml'), 'row-menu'));
    await user.click(await screen.findByTestId('menu-dismiss'));
    expect(backend.calls).toEqual(['dismiss pond-level.yaml']);
    await waitFor(() => expect(row('pond-level.yaml').dataset.state).toBe('none'));
    expect(screen.queryByTestId('summary-attention')).toBeNull();
  });

  it('shows why a command failed until it is dismissed', async () => {
    await show('trouble');
    await user.click(inside(row('pond-level.yaml'), 'primary-action'));
    expect(await screen.findByTestId('problem')).toHaveTextContent(/disk is full.*Free some space/);
    await user.click(screen.getByRole('button', { name: 'Dismiss' }));
    expect(screen.queryByTestId('problem')).toBeNull();
  });
});

describe('unsafe moments', () => {
  it('asks before it cancels a transfer', async () => {
    const backend = await show('demo');
    await user.click(inside(row('greenhouse.yaml'), 'primary-action'));
    expect(await screen.findByRole('alertdialog')).toHaveTextContent(
      'Cancel the running transfer?',
    );
    await expectAccessible(screen.getByRole('alertdialog'));
    await user.click(screen.getByTestId('confirm-no'));
    expect(backend.calls).toEqual([]);
    await user.click(inside(row('greenhouse.yaml'), 'primary-action'));
    await user.click(await screen.findByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['cancel greenhouse.yaml']));
  });

  it('cancels what only waits without asking', async () => {
    const backend = await show('demo');
    await user.click(inside(row('mailbox.yaml'), 'primary-action'));
    expect(backend.calls).toEqual(['cancel mailbox.yaml']);
  });

  it('asks before it flashes what is held; each answer is one click away', async () => {
    const backend = await show('demo');
    const held = row('rain-gauge.yaml');
    const others = [...held.querySelectorAll('[data-testid=secondary-action]')];
    expect(others.map((other) => other.textContent?.trim())).toEqual(['Flash anyway', 'Cancel']);
    await user.click(inside(held, 'secondary-action'));
    expect(await screen.findByRole('alertdialog')).toHaveTextContent('rain-gauge.yaml changed');
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['flashAnyway rain-gauge.yaml']));
  });

  it.each([
    ['confirm-yes', 'quit'],
    ['confirm-no', 'stay'],
    ['confirm-other', 'closeWindow'],
  ])('asks when the window is closed without a tray: %s', async (button, command) => {
    const backend = await show('demo');
    backend.requestClose();
    expect(await screen.findByRole('alertdialog')).toHaveTextContent('Quit Wakeflash?');
    await user.click(screen.getByTestId(button));
    await waitFor(() => expect(backend.calls).toEqual([command]));
  });

  it('shows the same remark of another tool twice where it holds of two devices', async () => {
    const { status } = story('trouble');
    const twice = [...status.otherTools, ...status.otherTools];
    await show('demo', { status: { ...story('demo').status, otherTools: twice } });
    expect(screen.getAllByTestId('banner-other-tool')).toHaveLength(2);
  });

  it('offers to work on without a window only where another start opens it again', async () => {
    const backend = await show('demo', { info: { ...story('demo').info, reopens: false } });
    backend.requestClose();
    expect(await screen.findByRole('alertdialog')).not.toHaveTextContent('without a window');
    expect(screen.queryByTestId('confirm-other')).toBeNull();
  });

  it('takes a double click on Install for one', async () => {
    const backend = await show('demo');
    const button = inside(row('coffee-machine.yaml'), 'primary-action');
    expect(button).toHaveAttribute('data-action', 'install');
    await fireEvent.click(button);
    await waitFor(() => expect(button).toHaveAttribute('data-action', 'cancel'));
    await fireEvent.click(button);
    expect(backend.calls).toEqual(['install coffee-machine.yaml']);
    await new Promise((done) => setTimeout(done, 600));
    await fireEvent.click(button);
    await waitFor(() => expect(backend.calls).toContain('cancel coffee-machine.yaml'));
  });

  it.each([
    ['confirm-yes', 'quit'],
    ['confirm-no', 'stay'],
  ])('asks for the tray before it knows any device: %s', async (button, command) => {
    const backend = await show('empty');
    backend.askToQuit(2);
    expect(await screen.findByRole('alertdialog')).toHaveTextContent('2');
    await user.click(screen.getByTestId(button));
    await waitFor(() => expect(backend.calls).toEqual([command]));
  });
});

describe('leaving', () => {
  const question = () => screen.findByRole('alertdialog');

  it('is asked for again after each No, and not twice at a time', async () => {
    const backend = await show('quiet');
    for (const answer of ['click', 'escape']) {
      backend.calls.length = 0;
      backend.requestClose();
      const shown = await question();
      backend.requestClose();
      expect(await question()).toBe(shown);
      if (answer === 'click') await user.click(screen.getByTestId('confirm-no'));
      else await user.keyboard('{Escape}');
      await waitFor(() => expect(screen.queryByRole('alertdialog')).toBeNull());
      expect(backend.calls, answer).toEqual(['stay']);
    }
    backend.requestClose();
    await question();
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['stay', 'quit']));
  });

  it('by the tray takes the place of closing, and one answer is for all', async () => {
    const backend = await show('quiet');
    backend.requestClose();
    expect(await question()).toHaveTextContent('Quit Wakeflash?');
    backend.askToQuit(2);
    await waitFor(async () => expect(await question()).toHaveTextContent('being flashed?'));
    backend.askToQuit(2);
    backend.requestClose();
    expect(await question()).toHaveTextContent('2 transfers are under way');
    expect(backend.calls, 'it has not been answered').toEqual([]);
    await user.click(screen.getByTestId('confirm-no'));
    await waitFor(() => expect(backend.calls).toEqual(['stay']));
    expect(screen.queryByRole('alertdialog')).toBeNull();
  });

  const since = 0;
  const transfer: UpdateStateView = { kind: 'flashing', since, address: '10.0.0.7' };
  const confirming: UpdateStateView = { kind: 'confirming', since, acknowledged: true };
  it.each<[string, UpdateStateView[], RegExp]>([
    ['nothing', [], /nothing is lost\. Nothing is flashed until Wakeflash is started again/],
    [
      'confirming',
      [confirming],
      /^1 device has yet to confirm its new firmware\. The update stays/,
    ],
    [
      'all kinds',
      [
        transfer,
        confirming,
        { kind: 'building', since },
        { kind: 'waiting', since, mayHaveArrived: false },
      ],
      /^1 transfer is under way and will be cut short\. 1 device has .* firmware\. 1 build is running .* 1 update waits\. All updates stay/,
    ],
  ])('says what it means for what is under way: %s', async (_, states, words) => {
    const devices = states.map((state, n) => device(`D${n}`, { update: update(state) }));
    const backend = await show('quiet', { devices });
    backend.requestClose();
    const body = (await question()).querySelector('.dialog-body');
    expect(body?.textContent).toMatch(words);
  });

  it('tells of what a demo loses, and is red only where something is lost', async () => {
    const waiting = device('A', {
      update: update({ kind: 'waiting', since: 0, mayHaveArrived: false }),
    });
    for (const demo of [false, true]) {
      const info = { ...story('quiet').info, demo };
      const backend = await show('quiet', { devices: [waiting], info });
      backend.requestClose();
      const shown = await question();
      expect(shown.textContent?.includes('This is a demo')).toBe(demo);
      expect(shown.textContent?.includes('stays in the queue')).toBe(!demo);
      expect(screen.getByTestId('confirm-yes').classList.contains('danger')).toBe(demo);
      cleanup();
    }
  });
});

describe('the drawer', () => {
  it('shows the update, its timeline, its log and the device', async () => {
    await show('demo', only('demo', 'garden-soil-sensor.yaml'));
    await user.click(inside(row('garden-soil-sensor.yaml'), 'open-details'));
    expect(await screen.findAllByTestId('timeline-entry')).toHaveLength(7);
    const drawer = screen.getByTestId('drawer');
    expect(drawer).toHaveTextContent('It will install when the device wakes.');
    expect(screen.getByTestId('last-attempt')).toHaveTextContent(
      /2 attempts.*lost during the transfer/,
    );
    expect(screen.getByTestId('build-log')).toHaveTextContent('Successfully compiled program.');
    await expectAccessible(drawer);
    await user.click(screen.getByTestId('tab-device'));
    expect(screen.getByTestId('facts')).toHaveTextContent('98:35:69:AB:F6:79');
    expect(await screen.findByTestId('wake-words')).toHaveTextContent(
      /^Woke 36 times in the last \d+ h, about every 24 min, awake for about \d+ s, at most \d+ s. Next expected at /,
    );
    await expectAccessible(screen.getByRole('tabpanel'));
    await user.keyboard('{Escape}');
    expect(screen.queryByTestId('drawer')).toBeNull();
    expect(inside(row('garden-soil-sensor.yaml'), 'open-details')).toHaveFocus();
  });

  it('says what to do about a failure', async () => {
    await show('demo');
    await user.click(inside(row('pond-level.yaml'), 'open-details'));
    expect(screen.getByTestId('help')).toHaveTextContent('Put the password');
  });

  it('follows the log line by line, and starts anew with a new update', async () => {
    const one = device('One', {
      update: update({ kind: 'building', since: Date.now() }, { id: 900 }),
    });
    const backend = await show('demo', { devices: [one] });
    await user.click(inside(row('one.yaml'), 'open-details'));
    const log = await screen.findByTestId('build-log');
    await waitFor(() => expect(log).toHaveTextContent('Compiling app'));
    const say = (firstLine: number, lines: string[], id = 900) =>
      backend.emit({ kind: 'buildOutput', device: one.id, update: id, firstLine, lines });
    say(18, ['a new line']);
    say(18, ['a new line', 'and another']);
    say(19, ['of another update'], 901);
    await waitFor(() => expect(log).toHaveTextContent(/a new line ?and another/));
    expect(log).not.toHaveTextContent('of another update');
    expect(log.textContent?.match(/a new line/g)).toHaveLength(1);
  });
});

describe('settings', () => {
  it('are shown, and what is changed is sent, and nothing else', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    expect(screen.getByTestId('esphome-state')).toHaveTextContent('ESPHome 2026.10.0');
    await expectAccessible(screen.getByTestId('settings'));
    await user.click(screen.getByTestId('settings-changed-rebuild'));
    await user.click(screen.getByTestId('settings-notify-installed'));
    await user.click(screen.getByTestId('settings-start-at-login'));
    const sent = backend.calls.map((call) => JSON.parse(call.replace('changeSettings ', '')));
    expect(sent).toEqual([
      { changedSources: 'rebuild' },
      { notify: { installed: false, failed: true, held: true, overdue: true } },
      { startAtLogin: true },
    ]);
    await user.click(screen.getByTestId('settings-back'));
    expect(screen.getByTestId('summary')).toBeInTheDocument();
  });

  it('say which ESPHome is used, and installing Wakeflash’s own chooses that', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    const own = screen.getByTestId('settings-own-esphome');
    expect(own).not.toBeChecked();
    await user.click(screen.getByTestId('esphome-upgrade'));
    expect(backend.calls).toEqual(['installEsphome']);
    await waitFor(() => expect(own).toBeChecked(), { timeout: 10_000 });
    expect(screen.getByTestId('esphome-state')).toHaveTextContent('esphome-1/bin/esphome');
    const sent = () => JSON.parse(backend.calls.at(-1)?.replace('changeSettings ', '') ?? '');
    await user.click(own);
    expect(sent()).toEqual({ ownEsphome: false });
    await user.click(own);
    await user.type(screen.getByTestId('settings-esphome-path'), '/opt/esphome{Enter}');
    expect(sent()).toEqual({ ownEsphome: false, esphomePath: '/opt/esphome' });
    expect(own).not.toBeChecked();
  });

  it('and a banner say what is wrong with an ESPHome that goes on building', async () => {
    const gone = {
      code: 'esphome.own_gone',
      message: 'Wakeflash’s own ESPHome is gone.',
      help: 'Install it again.',
    };
    const ready = { kind: 'ready', path: '/usr/bin/esphome', version: '2026.9.0' } as const;
    const status = { ...story('demo').status, esphome: { ...ready, problem: gone } };
    const backend = await show('demo', { status });
    const banner = await screen.findByTestId('banner-esphome');
    expect(banner).toHaveTextContent(/is gone.*Install it again.*ESPHome 2026.9.0 goes on/);
    await expectAccessible(banner);
    await user.click(screen.getByTestId('banner-esphome-find'));
    expect(backend.calls).toEqual(['findEsphome']);
    await user.click(screen.getByTestId('banner-esphome-settings'));
    expect(screen.getByTestId('esphome-problem')).toHaveTextContent(/is gone.*Install it again/);
    expect(screen.queryByTestId('banner-esphome')).toBeNull();
  });

  it('of a demo leave the session of the user alone', async () => {
    await show('demo', { info: { ...story('demo').info, demo: true } });
    await user.click(screen.getByTestId('open-settings'));
    expect(screen.queryByTestId('settings-start-at-login')).toBeNull();
  });

  it('says beside the field why a folder is refused', async () => {
    await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    const input = screen.getByTestId('config-dir-input');
    await user.clear(input);
    await user.type(input, 'esphome{Enter}');
    expect(await screen.findByTestId('config-dir-problem')).toHaveTextContent('not a full path');
  });
});

describe('the first run', () => {
  it('offers the usual places, then shows the devices', async () => {
    const backend = await show('first-run');
    expect(await screen.findAllByTestId('config-dir-candidate')).toHaveLength(2);
    expect(screen.getByTestId('first-run')).toHaveTextContent('17 devices');
    expect(screen.getByTestId('config-dir-input')).toHaveValue('/home/sam/esphome');
    await expectAccessible();
    await user.click(screen.getByTestId('config-dir-confirm'));
    expect(backend.calls[0]).toContain('"configDir":"/home/sam/esphome"');
    await waitFor(() => expect(screen.getAllByTestId('device-row').length).toBeGreaterThan(10));
  });

  it('works without any usual place and without ESPHome', async () => {
    const backend = await show('first-run-bare');
    expect(await screen.findByText(/None of the usual places/)).toBeInTheDocument();
    expect(screen.getByTestId('config-dir-confirm')).toBeDisabled();
    await user.click(screen.getByTestId('esphome-install'));
    expect(backend.calls).toEqual(['installEsphome']);
    await expectAccessible();
  });
});

describe('trouble', () => {
  it('is said in banners, with what it means and what to do', async () => {
    await show('trouble');
    const banners: [string, RegExp][] = [
      ['banner-store', /disk is full/],
      ['banner-config-dir', /Updates that wait keep waiting/],
      ['banner-esphome', /ESPHome was not found/],
      ['banner-network', /UDP port 5353/],
    ];
    for (const [id, words] of banners) expect(screen.getByTestId(id)).toHaveTextContent(words);
    await expectAccessible(screen.getByTestId('banner-store').parentElement ?? undefined);
    await user.click(screen.getByTestId('banner-esphome-path'));
    expect(screen.getByTestId('settings-esphome-path')).toHaveFocus();
    expect(screen.queryByTestId('banner-esphome'), 'it is said there').toBeNull();
    expect(screen.getByTestId('esphome-state')).toHaveTextContent(/ESPHome was not found/);
  });

  it('of a computer without a network claims nothing about watching it', async () => {
    await show('no-network');
    const banner = screen.getByTestId('banner-network');
    expect(banner).toHaveTextContent(/No network.*go on when the network is back\.$/);
    expect(banner).not.toHaveTextContent(/noticed late|watched/);
  });

  it('shows the installation of ESPHome', async () => {
    await show('installing-esphome');
    expect(screen.getByTestId('banner-esphome')).toHaveTextContent('14 of 62 packages');
  });

  it('says why the application could not start', async () => {
    await show('start-problem');
    expect(await screen.findByTestId('start-problem')).toHaveTextContent('newer Wakeflash');
    await expectAccessible();
  });

  it('offers the last backup for a damaged database, with what it holds and what is lost', async () => {
    const backend = await show('damaged');
    const problem = await screen.findByTestId('start-problem');
    expect(problem).toHaveTextContent(/last good backup is from/);
    expect(problem).toHaveTextContent('17 devices, and 2 updates are under way');
    expect(problem).toHaveTextContent('1 device that an update was asked for since');
    expect(problem).not.toHaveTextContent('Nothing was changed');
    await expectAccessible();
    await user.click(screen.getByTestId('start-empty'));
    await user.click(await screen.findByTestId('confirm-no'));
    expect(backend.calls).not.toContain('mendStore startEmpty');
    await user.click(screen.getByTestId('restore-backup'));
    expect(backend.calls).toContain('mendStore restoreBackup');
    expect(problem).toHaveTextContent('starts again');
  });
});
