/** The home: what needs the user, what happens, when, and what worked. */
import { cleanup, screen, waitFor, within } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import groups from '../../src-tauri/core/src/words/groups.json';
import type { UpdateStateView } from '../src/lib/backend';
import { device, update, wakes, withActions } from '../src/lib/backend/fake/devices';
import { problems } from '../src/lib/backend/fake/problems';
import { csvOf } from '../src/lib/home/csv';
import { groupOf } from '../src/lib/updates/groups';
import { CLICKS, expectAccessible, inside, only, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function lines(testid: string): (string | undefined)[] {
  return screen.queryAllByTestId(testid).map((one) => one.dataset.device);
}

function line(testid: string, id: string): HTMLElement {
  const found = screen.getAllByTestId(testid).find((one) => one.dataset.device === id);
  if (!found) throw new Error(`there is no ${testid} of ${id}`);
  return found;
}

describe('the groups', () => {
  it.each(groups)('are those of the application: $what', (one) => {
    const { state, problem, crashLoop, overdue, lastAttempt, group } = one as {
      state?: UpdateStateView;
      problem?: string;
      crashLoop?: string;
      overdue?: boolean;
      lastAttempt?: string;
      group: string | null;
    };
    const coded = (code: string) => ({ code, message: 'It went wrong.', help: null });
    const shown = device('A', {
      problem: problem ? coded(problem) : null,
      crashLoop: crashLoop ? coded(crashLoop) : null,
      wake: wakes(60, 10, { overdue: overdue ?? false }),
      update: state
        ? update(state, {
            lastAttempt: lastAttempt ? { at: 0, problem: coded(lastAttempt) } : null,
          })
        : null,
    });
    expect(groupOf(shown)).toBe(group);
  });
});

describe('the home', () => {
  it('is the first page, and says in its order what needs the user, what happens, when, and what worked', async () => {
    await show('demo', {}, 'home');
    expect(screen.getByTestId('open-home')).toHaveAttribute('aria-current', 'page');
    expect(lines('need-line')).toEqual([
      'workshop-heater.yaml',
      'rain-gauge.yaml',
      'pond-level.yaml',
      'old-pump.yaml',
      'cellar-leak-sensor.yaml',
    ]);
    expect(lines('now-line')).toEqual([
      'greenhouse.yaml',
      'doorbell.yaml',
      'freezer-probe.yaml',
      'bathroom-fan.yaml',
      'beehive-scale.yaml',
    ]);
    expect(lines('next-line')).toEqual([
      'garden-soil-sensor.yaml',
      'mailbox.yaml',
      'attic-lights.yaml',
    ]);
    await waitFor(() => expect(lines('done-line')[0]).toBe('kitchen-display.yaml'));
    const titles = within(screen.getByTestId('home')).getAllByRole('heading', { level: 2 });
    expect(titles.map((one) => one.textContent?.trim().replace(/\s+/g, ' ')).slice(0, 4)).toEqual([
      'Needs you 5',
      'Now 5',
      'Next 3',
      'Done today',
    ]);
    await expectAccessible(screen.getByTestId('home-attention'));
  });

  it('says each problem in a sentence, with its remedy', async () => {
    const backend = await show('demo', {}, 'home');
    const remedies = Object.fromEntries(
      screen.getAllByTestId('need-line').map((one) => [
        one.dataset.device,
        [
          one.querySelector('.rest')?.textContent?.trim(),
          ...within(one)
            .getAllByTestId('remedy')
            .map((button) => button.textContent?.trim()),
        ],
      ]),
    );
    expect(remedies).toMatchObject({
      'workshop-heater.yaml': [expect.stringMatching(/^Rolled back\. Keep it/), 'Install again'],
      'rain-gauge.yaml': [
        'Held: rain-gauge.yaml changed since it was built',
        'Rebuild',
        'Show changes',
      ],
      'pond-level.yaml': [
        expect.stringMatching(/^Wrong OTA password\. The device/),
        'Password on the device…',
        'Retry',
      ],
      'old-pump.yaml': [expect.stringMatching(/^ESPHome refuses it\. Line 14/), 'Open YAML'],
      'cellar-leak-sensor.yaml': [expect.stringMatching(/^Expected at .+, 19\sh ago$/), 'Why?'],
    });
    await user.click(inside(line('need-line', 'old-pump.yaml'), 'remedy'));
    expect(backend.calls).toEqual(['openYaml old-pump.yaml']);
    await user.click(inside(line('need-line', 'cellar-leak-sensor.yaml'), 'remedy'));
    expect(await screen.findByTestId('drawer')).toHaveAttribute(
      'data-device',
      'cellar-leak-sensor.yaml',
    );
  });

  it('offers the last good build of a device in safe mode, where one is kept', async () => {
    const crashLoop = { code: 'device.safe_mode', message: 'It is in safe mode.', help: null };
    const previousBuild = { version: '2026.9.2', builtAt: Date.now() - MINUTE };
    const devices = [device('A', { crashLoop, previousBuild }), device('B', { crashLoop })];
    const backend = await show('quiet', { devices }, 'home');
    const remedies = (id: string): (string | null)[] =>
      within(line('need-line', id))
        .getAllByTestId('remedy')
        .map((button) => button.textContent);
    expect(line('need-line', 'a.yaml')).toHaveTextContent('In safe mode. It is in safe mode.');
    expect(remedies('a.yaml')).toEqual(['Install the last good build', 'Open YAML', 'Why?']);
    expect(remedies('b.yaml')).toEqual(['Open YAML', 'Why?']);
    const [back] = within(line('need-line', 'a.yaml')).getAllByTestId('remedy');
    if (back) await user.click(back);
    expect(backend.calls).toContain('installPrevious a.yaml');
  });

  it('says a rollback’s reason, and offers one more try', async () => {
    const devices = only('demo', 'workshop-heater.yaml').devices?.map((one) => {
      const state = one.update?.state;
      if (!one.update || state?.kind !== 'failed') return one;
      const problem = { ...state.problem, code: 'update.ended_early', message: 'It ended early.' };
      return { ...one, update: { ...one.update, state: { ...state, problem } } };
    });
    await show('demo', { devices: devices ?? [] }, 'home');
    const need = line('need-line', 'workshop-heater.yaml');
    expect(need).toHaveTextContent('Rolled back. It ended early.');
    expect(within(need).getByTestId('remedy')).toHaveTextContent('Install again');
  });

  it('cleans what earlier builds left, where that may help', async () => {
    const devices = only('demo', 'pond-level.yaml').devices?.map((one) => {
      const state = one.update?.state;
      if (!one.update || state?.kind !== 'failed') return one;
      const failed = { ...state, problem: problems.compilerError };
      return withActions({ ...one, update: { ...one.update, state: failed } });
    });
    const backend = await show('demo', { devices: devices ?? [] }, 'home');
    const buttons = screen.getAllByTestId('remedy');
    expect(buttons.map((button) => button.textContent?.trim())).toEqual([
      'Retry',
      'Clean build files and retry',
    ]);
    await user.click(buttons[1]!);
    expect(backend.calls).toEqual(['retryClean pond-level.yaml']);
  });

  it('asks for the password that is on the device, where that is what helps', async () => {
    const backend = await show('demo', only('demo', 'pond-level.yaml'), 'home');
    await user.click(screen.getAllByTestId('remedy')[0]!);
    const dialog = await screen.findByTestId('password-dialog');
    await expectAccessible(dialog);
    await user.type(within(dialog).getByTestId('password-input'), 'old one{Enter}');
    await waitFor(() => expect(backend.calls).toEqual(['retryWithPassword pond-level.yaml']));
    await waitFor(() => expect(screen.queryByTestId('password-dialog')).toBeNull());
    expect(lines('now-line')).toEqual(['pond-level.yaml']);
  });

  it('counts everything once, and each number leads to what it counts', async () => {
    await show('demo', {}, 'home');
    const numbers = () => {
      const found: Record<string, Set<string>> = {};
      for (const one of document.querySelectorAll<HTMLElement>('[data-count]')) {
        const n = /\d+/.exec(one.textContent ?? '')?.[0] ?? '';
        (found[one.dataset.count ?? ''] ??= new Set()).add(n);
      }
      return found;
    };
    const onHome = numbers();
    for (const [what, values] of Object.entries(onHome)) {
      expect([...values], what).toHaveLength(1);
    }
    expect(onHome.attention).toEqual(new Set(['5']));
    await user.click(screen.getByTestId('headline-attention'));
    expect(screen.getByRole('heading', { name: /Needs you/ })).toHaveFocus();
    await user.click(screen.getByTestId('headline-available'));
    const onDevices = numbers();
    for (const what of ['attention', 'waiting', 'working', 'available']) {
      const values = onHome[what] ?? onDevices[what];
      expect(onDevices[what], what).toEqual(values);
    }
    const shown = screen.getAllByTestId('device-row').length;
    expect(onDevices.available).toEqual(new Set([String(shown)]));
    await user.click(screen.getByTestId('update-all'));
    expect(await screen.findByTestId('install-go')).toHaveTextContent(`Install on ${shown}`);
    // What it takes is said before it begins.
    expect(screen.getByTestId('plan-forecast')).toHaveTextContent(/^Expected done .* last/);
  });

  it('counts down by the second when a wake is near', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const now = Date.now();
    const waits = (name: string, seconds: number) =>
      device(name, {
        wake: wakes(60, 0, { next: now + seconds * 1_000, jitterSeconds: 5 }),
        update: update({ kind: 'waiting', since: now, mayHaveArrived: false }),
      });
    await show('demo', { devices: [waits('Far', 3_600), waits('Near', 65)] }, 'home');
    const said = (id: string) => inside(line('next-line', id), 'expected').textContent;
    const seconds = () => Number(/^in (\d+)\ss$/.exec(said('near.yaml') ?? '')?.[1]);
    // The clock goes on by itself as well, for as long as this takes.
    const before = seconds();
    expect(before).toBeLessThanOrEqual(65);
    expect(said('far.yaml')).toMatch(/^in (1\sh|59\smin)$/);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(seconds()).toBeLessThanOrEqual(before - 29);
    await vi.advanceTimersByTimeAsync(31_000);
    expect(said('near.yaml')).toBe('any moment');
    vi.useRealTimers();
  });

  it('cancels without a question, and takes that back for ten seconds', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const backend = await show('demo', only('demo', 'garden-soil-sensor.yaml'), 'home');
    const cancel = () => inside(line('next-line', 'garden-soil-sensor.yaml'), 'line-cancel');
    await user.click(cancel());
    await waitFor(() => expect(lines('next-line')).toEqual([]));
    expect(screen.getByTestId('notice')).toHaveTextContent(
      'Cancelled the update of Garden Soil Sensor',
    );
    await user.click(screen.getByTestId('undo'));
    await waitFor(() => expect(lines('next-line')).toEqual(['garden-soil-sensor.yaml']));
    expect(backend.calls).toEqual([
      'cancel garden-soil-sensor.yaml',
      'undoCancel garden-soil-sensor.yaml',
    ]);
    expect(screen.queryByTestId('undo')).toBeNull();
    // By key as well, and not for ever.
    await vi.advanceTimersByTimeAsync(1_000);
    await user.click(cancel());
    await screen.findByTestId('undo');
    await user.keyboard('{Control>}z{/Control}');
    await waitFor(() => expect(lines('next-line')).toEqual(['garden-soil-sensor.yaml']));
    await vi.advanceTimersByTimeAsync(1_000);
    await user.click(cancel());
    await screen.findByTestId('undo');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(screen.queryByTestId('undo')).toBeNull();
    vi.useRealTimers();
  });

  it('asks before it cuts a transfer, which nothing takes back', async () => {
    const backend = await show('demo', only('demo', 'greenhouse.yaml'), 'home');
    await user.click(inside(line('now-line', 'greenhouse.yaml'), 'line-cancel'));
    expect(backend.calls).toEqual([]);
    await user.click(await screen.findByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['cancel greenhouse.yaml']));
    expect(screen.queryByTestId('undo')).toBeNull();
  });

  it('leads from one device to the next in the drawer, by key', async () => {
    const ids = ['garden-soil-sensor.yaml', 'attic-lights.yaml'];
    const devices = story('demo').devices.filter(({ id }) => ids.includes(id));
    await show('demo', { devices }, 'home');
    await user.click(inside(line('next-line', ids[0]!), 'line-open'));
    await screen.findByTestId('drawer');
    for (const [key, id] of [
      ['j', 1],
      ['j', 1],
      ['k', 0],
    ] as const) {
      await user.keyboard(key);
      await waitFor(() => expect(screen.getByTestId('drawer').dataset.device).toBe(ids[id]));
    }
  });

  it('promises no wake while it is paused', async () => {
    await show('paused', {}, 'home');
    for (const one of screen.getAllByTestId('expected')) expect(one).toHaveTextContent('paused');
    expect(screen.getByTestId('headline')).not.toHaveTextContent('Next:');
  });

  it('folds many that are overdue, that are queued and that wait', async () => {
    const many = (count: number, name: string, state: () => UpdateStateView, overdue = false) =>
      Array.from({ length: count }, (_, n) =>
        device(`${name} ${n}`, {
          wake: wakes(60, 30 - n / 100, { overdue }),
          update: update(state(), { requestedAt: n }),
        }),
      );
    const waiting = () => ({ kind: 'waiting' as const, since: 0, mayHaveArrived: false });
    const devices = [
      ...many(8, 'Late', waiting, true),
      ...many(30, 'Waits', waiting),
      ...many(7, 'Queued', () => ({ kind: 'queued', ahead: 3, again: null })),
    ];
    await show('demo', { devices }, 'home');
    expect(lines('need-line')).toEqual([]);
    expect(screen.getByTestId('home-attention')).toHaveTextContent('8 devices are overdue');
    expect(lines('next-line')).toHaveLength(20);
    expect(screen.getByTestId('home-waiting')).toHaveTextContent(/10 more until/);
    expect(screen.getByTestId('home-working')).toHaveTextContent('3 more builds are queued');
    for (const part of ['overdue', 'waiting', 'queued']) {
      await user.click(screen.getByTestId(`show-${part}`));
    }
    expect(lines('need-line')).toHaveLength(8);
    expect(lines('next-line')).toHaveLength(30);
    expect(lines('now-line')).toHaveLength(7);
  });

  it('has keys that lead from line to line, whatever the section', async () => {
    await show('demo', {}, 'home');
    await user.keyboard('{ArrowDown}');
    expect(inside(line('need-line', 'workshop-heater.yaml'), 'line-open')).toHaveFocus();
    await user.keyboard('{ArrowDown}{ArrowDown}{ArrowDown}{ArrowDown}{ArrowDown}');
    expect(inside(line('now-line', 'greenhouse.yaml'), 'line-open')).toHaveFocus();
    expect(
      document.querySelectorAll('.queue-line [data-testid=line-open][tabindex="0"]'),
    ).toHaveLength(1);
    await user.keyboard('{Enter}');
    expect(await screen.findByTestId('drawer')).toHaveAttribute('data-device', 'greenhouse.yaml');
    await user.keyboard('{Escape}');
    expect(inside(line('now-line', 'greenhouse.yaml'), 'line-open')).toHaveFocus();
  });

  it('says what to do when nothing is under way', async () => {
    await show(
      'quiet',
      { devices: [device('A', { updateAvailable: false, deployedVersion: null })] },
      'home',
    );
    const empty = await screen.findByTestId('nothing-waiting');
    await expectAccessible(empty);
    await user.click(within(empty).getByRole('button'));
    expect(screen.getByTestId('open-devices')).toHaveAttribute('aria-current', 'page');
  });
});

describe('what is done', () => {
  it('says from what to what, how it is known, how long it waited and how long it took', async () => {
    const backend = await show('demo', {}, 'home');
    await waitFor(() => expect(lines('done-line').length).toBeGreaterThan(3));
    const first = screen.getAllByTestId('done-line')[0] as HTMLElement;
    expect(first).toHaveTextContent(
      /Updated ?2\smin ago ?Kitchen Display ?2026\.9\.2 → 2026\.10\.0 · waited 35\smin, sent in 9\ss ?announced/,
    );
    const outcomes = screen.getAllByTestId('done-line').map((one) => one.dataset.state);
    expect(outcomes).toContain('cancelled');
    // What needs the user stands above, once.
    const now = await backend.ask({ cmd: 'details', device: 'pond-level.yaml' });
    const failed = now.status === 'ok' ? now.data.update.id : 0;
    expect(document.querySelector(`[data-key="done/${failed}"]`)).toBeNull();
  });

  it('is new since the user last looked', async () => {
    const { devices } = story('demo');
    const before = Date.now() - HOUR;
    localStorage.setItem('wakeflash.looked', JSON.stringify({ before: 0, last: before }));
    await show('demo', { devices }, 'home');
    await waitFor(() => expect(screen.getByTestId('home-done-new')).toBeInTheDocument());
    expect(screen.getByTestId('home-done-new')).toHaveTextContent(/Done since .*Kitchen Display/);
    expect(screen.getByTestId('headline')).toHaveTextContent('1 updated since you last looked');
    // A glance away is none.
    cleanup();
    await show('demo', { devices }, 'home');
    await waitFor(() => expect(screen.getByTestId('home-done-new')).toBeInTheDocument());
  });

  it('comes as it ends', async () => {
    const backend = await show('demo', {}, 'home');
    await waitFor(() => expect(lines('done-line').length).toBeGreaterThan(3));
    const [one] = story('demo').devices.filter(({ id }) => id === 'garden-soil-sensor.yaml');
    const state = { kind: 'installed', at: Date.now(), how: 'returned', watched: false } as const;
    backend.emit({ kind: 'device', device: { ...one!, update: { ...one!.update!, state } } });
    await waitFor(() => expect(lines('done-line')[0]).toBe('garden-soil-sensor.yaml'));
    expect(screen.getAllByTestId('done-line')[0]).toHaveTextContent('took it and came back');
  });

  it('is all on a page of its own, searched, by outcome, and saved as a table', async () => {
    const backend = await show('demo', {}, 'home');
    await user.click(await screen.findByTestId('show-activity'));
    await waitFor(() => expect(lines('done-line').length).toBeGreaterThan(20));
    await user.selectOptions(screen.getByTestId('activity-outcome'), 'failed');
    await waitFor(() =>
      expect(new Set(screen.getAllByTestId('done-line').map((one) => one.dataset.state))).toEqual(
        new Set(['failed']),
      ),
    );
    await user.type(screen.getByTestId('activity-search'), 'pond');
    await waitFor(() => expect(new Set(lines('done-line'))).toEqual(new Set(['pond-level.yaml'])));
    await user.click(screen.getByTestId('activity-export'));
    await waitFor(() => expect(backend.calls.at(-1)).toMatch(/^saveCsv device,file,outcome/));
    expect(backend.calls.at(-1)).toContain('Pond Level,pond-level.yaml,failed');
    await user.type(screen.getByTestId('activity-search'), ' nothing');
    expect(await screen.findByTestId('no-activity')).toBeInTheDocument();
    await user.keyboard('{Escape}');
    await user.keyboard('{Escape}');
    expect(screen.getByTestId('home')).toBeInTheDocument();
  });

  it('is a table in which no text is a formula', () => {
    const [record] = [
      {
        device: 'a.yaml',
        name: '=cmd()',
        fromVersion: null,
        update: {
          id: 1,
          requestedAt: 0,
          endedAt: 1_000,
          state: { kind: 'cancelled', at: 1_000, mayHaveArrived: false },
          attempts: 0,
          imageSize: null,
          wireSize: null,
          encrypted: null,
          buildSeconds: null,
          flashSeconds: null,
          wantedVersion: 'a "b", c',
          wantedHash: null,
        },
      } as const,
    ];
    const [, row] = csvOf([record]).split('\r\n');
    expect(row).toBe(
      `'=cmd(),a.yaml,cancelled,1970-01-01T00:00:00.000Z,1970-01-01T00:00:01.000Z,,"a ""b"", c",,,,,0,,`,
    );
  });
});
