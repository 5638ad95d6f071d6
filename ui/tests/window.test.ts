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
        /^Waiting for wake ?for \d+.(min|h) · 2 attempts · Connection lost/,
        'Cancel',
      ],
      ['attic-lights.yaml', 'waiting', /^Waiting for the device ?for \d+.(min|h|days)/, 'Cancel'],
      ['bathroom-fan.yaml', 'building', /^Building 40 %/, 'Cancel'],
      ['beehive-scale.yaml', 'queued', /^Queued, 1 build ahead/, 'Cancel'],
      ['rain-gauge.yaml', 'held', /^Held: rain-gauge.yaml changed/, 'Rebuild'],
      ['greenhouse.yaml', 'flashing', /^Flashing 62 %/, 'Cancel'],
      ['doorbell.yaml', 'confirming', /^Confirming/, 'Cancel'],
      ['kitchen-display.yaml', 'installed', /^Installed 2 min ago/, 'Install'],
      [
        'pond-level.yaml',
        'failed',
        /^Failed: ?Wrong OTA password ?Enter the OTA password of the firmware that runs on it/,
        'Retry',
      ],
      ['workshop-heater.yaml', 'failed', /^Rolled back/, 'Retry'],
      [
        'stairs-motion.yaml',
        'cancelled',
        /^Cancelled 45 min ago.+may run the new firmware/,
        'Install',
      ],
      ['window-blind.yaml', 'none', /^Version unknown/, 'Install'],
      ['coffee-machine.yaml', 'none', /^Up to date/, 'Install'],
      ['hallway-thermostat.yaml', 'none', /^Files changed/, 'Install'],
      ['old-pump.yaml', 'broken', /^ESPHome refuses it ?Line 14/, null],
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
    expect(screen.getByTestId('summary')).toHaveTextContent(/Waiting 3.*Working 5.*Needs you 5/);
    await expectAccessible();
  });

  it('installs at a click, and shows what comes', async () => {
    const backend = await show('quiet');
    await user.click(inside(row('mailbox.yaml'), 'primary-action'));
    expect(backend.calls).toContain('install mailbox.yaml');
    await waitFor(() => expect(row('mailbox.yaml').dataset.state).toBe('queued'));
    expect(screen.getByTestId('announcement')).toHaveTextContent('Mailbox: Queued, builds next');
  });

  it('goes back to the previous build of a device that has one', async () => {
    const previousBuild = { version: '2026.9.2', builtAt: Date.now() - 60_000 };
    const backend = await show('quiet', {
      devices: [device('A', { previousBuild }), device('B', {})],
    });
    await user.click(inside(row('b.yaml'), 'row-menu'));
    expect(await screen.findByTestId('menu-copy-address')).toBeInTheDocument();
    expect(screen.queryByTestId('menu-previous')).toBeNull();
    await user.keyboard('{Escape}');
    await user.click(inside(row('a.yaml'), 'row-menu'));
    const entry = await screen.findByTestId('menu-previous');
    expect(entry).toHaveTextContent(/^Back to the previous build \(/);
    await user.click(entry);
    await waitFor(() => expect(backend.calls).toContain('installPrevious a.yaml'));
  });

  it.each([
    ['what there is an update for', true, /1 when it wakes/],
    ['nothing, and says so', false, /Everything is up to date/],
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
    expect(screen.getAllByTestId('device-row')).toHaveLength(5);
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

  it('says while it is paused that nothing goes on, and promises no wake', async () => {
    const waits = ['beehive-scale', 'garden-soil-sensor', 'balcony'];
    const devices = story('demo').devices.filter(({ id }) =>
      waits.some((one) => id.startsWith(one)),
    );
    const backend = await show('demo', { devices });
    expect(row('garden-soil-sensor.yaml')).toHaveTextContent(
      /next wake in ~\d+ min.*Waiting for wake/,
    );
    await backend.ask({ cmd: 'set_paused', paused: true });
    await waitFor(() => expect(row('beehive-scale.yaml')).toHaveTextContent('Queued, paused'));
    expect(row('garden-soil-sensor.yaml')).toHaveTextContent('Waiting, paused');
    expect(row('garden-soil-sensor.yaml')).not.toHaveTextContent('next wake');
    // Nothing of it is missed.
    const others = document.querySelector('[data-device^=balcony]');
    expect(others).toHaveTextContent(/next wake in ~\d+ min/);
    expect(screen.getAllByRole('button', { name: 'Resume' })).toHaveLength(1);
  });

  it('puts a failure aside, by its menu', async () => {
    const backend = await show('demo', only('demo', 'pond-level.yaml'));
    expect(screen.getByTestId('summary')).toHaveTextContent('Needs you 1');
    await user.click(inside(row('pond-level.yaml'), 'row-menu'));
    await user.click(await screen.findByTestId('menu-dismiss'));
    expect(backend.calls).toEqual(['dismiss pond-level.yaml']);
    await waitFor(() => expect(row('pond-level.yaml').dataset.state).toBe('none'));
    expect(screen.queryByTestId('summary-attention')).toBeNull();
  });

  it('shows why a command failed until it is dismissed', async () => {
    await show('demo', { refuses: true });
    await user.click(inside(row('pond-level.yaml'), 'primary-action'));
    expect(await screen.findByTestId('problem')).toHaveTextContent(/can't be written.*Make room/);
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
    expect(others.map((other) => other.textContent?.trim())).toEqual(['Flash as built', 'Cancel']);
    await user.click(inside(held, 'secondary-action'));
    expect(await screen.findByRole('alertdialog')).toHaveTextContent('rain-gauge.yaml changed');
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['flashAnyway rain-gauge.yaml']));
  });

  it.each([
    ['confirm-yes', 'shutdown'],
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
    await user.click(screen.getByTestId('banner-unfold'));
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
    // However long a busy machine takes for the following.
    const began = performance.now();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(began);
    await fireEvent.click(button);
    await waitFor(() => expect(button).toHaveAttribute('data-action', 'cancel'));
    await fireEvent.click(button);
    expect(backend.calls).toEqual(['install coffee-machine.yaml']);
    clock.mockReturnValue(began + 600);
    await fireEvent.click(button);
    await waitFor(() => expect(backend.calls).toContain('cancel coffee-machine.yaml'));
    clock.mockRestore();
  });

  it.each([
    ['confirm-yes', 'shutdown'],
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
    await waitFor(() => expect(backend.calls).toEqual(['stay', 'shutdown']));
  });

  it('by the tray takes the place of closing, and one answer is for all', async () => {
    const backend = await show('quiet');
    backend.requestClose();
    expect(await question()).toHaveTextContent('Quit Wakeflash?');
    backend.askToQuit(2);
    await waitFor(async () => expect(await question()).toHaveTextContent('being flashed?'));
    backend.askToQuit(2);
    backend.requestClose();
    expect(await question()).toHaveTextContent('2 running transfers are cut short');
    expect(backend.calls, 'it has not been answered').toEqual([]);
    await user.click(screen.getByTestId('confirm-no'));
    await waitFor(() => expect(backend.calls).toEqual(['stay']));
    expect(screen.queryByRole('alertdialog')).toBeNull();
  });

  const since = 0;
  const transfer: UpdateStateView = { kind: 'flashing', since, address: '10.0.0.7' };
  const confirming: UpdateStateView = { kind: 'confirming', since, acknowledged: true };
  it.each<[string, UpdateStateView[], RegExp]>([
    ['nothing', [], /No update is waiting\. Nothing is flashed until Wakeflash is started again/],
    [
      'confirming',
      [confirming],
      /^\s*1 device has yet to report its new firmware\.\s*Nothing is flashed .* The queue is kept/,
    ],
    [
      'all kinds',
      [
        transfer,
        confirming,
        { kind: 'building', since },
        { kind: 'waiting', since, mayHaveArrived: false },
      ],
      /^\s*1 running transfer is cut short\.\s*1 device has .* firmware\.\s*1 build begins .*\s*1 update keeps waiting\.\s*Nothing is flashed/,
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
      expect(shown.textContent?.includes('The queue is kept')).toBe(!demo);
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
      /2 attempts.*lost during the transfer.*tried again/,
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
    expect(screen.getByTestId('help')).toHaveTextContent(
      /refused the OTA password\..*Enter the OTA password of the firmware that runs/,
    );
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
