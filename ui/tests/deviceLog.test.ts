/** What a device says in its log: live while somebody looks, and recorded at its next wake. */
import { screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeviceLog } from '../src/lib/backend';
import type { FakeBackend } from '../src/lib/backend/fake';
import { ok } from '../src/lib/backend/fake/answers';
import { device } from '../src/lib/backend/fake/devices';
import { DeviceLogFeed } from '../src/lib/devices/deviceLog.svelte';
import { CLICKS, expectAccessible, inside, row, show } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));
afterEach(() => vi.useRealTimers());

const awake = device('Awake', { presence: 'online' });
const asleep = device('Asleep', {});

async function openLog(id: string, backend?: FakeBackend) {
  backend ??= await show('quiet', { devices: [awake, asleep] });
  await user.click(inside(row(id), 'open-details'));
  await user.click(screen.getByTestId('tab-log'));
  return backend;
}

describe('the log of a device', () => {
  it('is shown as it is said, with its level', async () => {
    await openLog('awake.yaml');
    const log = await screen.findByTestId('device-log');
    await waitFor(() => expect(log).toHaveTextContent(/Sending state 71.00000 %/));
    expect(screen.getByTestId('log-state')).toHaveTextContent(/Live since .*firmware: DEBUG/);
    await expectAccessible(screen.getByTestId('drawer'));
  });

  it('says of a device that sleeps when it begins', async () => {
    await openLog('asleep.yaml');
    const state = screen.getByTestId('log-state');
    await waitFor(() => expect(state).toHaveTextContent(/The device is asleep\..*firmware: DEBUG/));
    expect(screen.queryByTestId('device-log')).toBeNull();
  });

  it('is asked for only while somebody looks', async () => {
    const backend = await show('quiet', { devices: [awake, asleep] });
    const asked = vi.spyOn(backend, 'device_log');
    await openLog('awake.yaml', backend);
    await waitFor(() => expect(asked).toHaveBeenCalled());
    await user.click(screen.getByTestId('tab-device'));
    asked.mockClear();
    await new Promise((done) => setTimeout(done, 1_300));
    expect(asked).not.toHaveBeenCalled();
  });

  it('is recorded at the next wake, until that is taken back', async () => {
    const backend = await openLog('asleep.yaml');
    const record = await screen.findByTestId('log-record');
    expect(record).toHaveTextContent('Record its log at its next wake');
    await user.click(record);
    expect(backend.calls).toContain('recordLog asleep.yaml true');
    await waitFor(() => expect(screen.getByTestId('log-armed')).toBeVisible());
    await user.click(screen.getByTestId('log-disarm'));
    expect(backend.calls).toContain('recordLog asleep.yaml false');
    await screen.findByTestId('log-record');
  });

  it('shows what was recorded, and why it ends there', async () => {
    await openLog('asleep.yaml');
    const [first, second] = await screen.findAllByTestId('recording');
    expect(first).toHaveTextContent(/9 s · 9 lines · until it went to sleep/);
    expect(second).toHaveTextContent(/until its update began/);
    await user.click(first!);
    const log = await screen.findByTestId('recorded-log');
    await waitFor(() => expect(log).toHaveTextContent(/Beginning sleep/));
    await expectAccessible(screen.getByTestId('drawer'));
    await user.click(first!);
    await waitFor(() => expect(screen.queryByTestId('recorded-log')).toBeNull());
  });

  it('begins anew where lines are missing, and is asked from where it was', async () => {
    vi.useFakeTimers();
    const state = { kind: 'connecting' } as const;
    const answers: DeviceLog[] = [
      { state, firstLine: 0, lines: ['a', 'b'], level: null },
      { state, firstLine: 2, lines: ['c'], level: null },
      { state, firstLine: 9, lines: ['x'], level: null },
      { state, firstLine: 10, lines: [], level: null },
    ];
    const asked: number[] = [];
    const ask = async ({ from }: { from: number }) => {
      asked.push(from);
      return ok(answers[Math.min(asked.length, answers.length) - 1]!);
    };
    const feed = new DeviceLogFeed({ ask } as never, 'a.yaml');
    await vi.advanceTimersByTimeAsync(250);
    expect(feed.lines).toEqual(['a', 'b', 'c']);
    await vi.advanceTimersByTimeAsync(1_500);
    expect([feed.firstLine, feed.lines]).toEqual([9, ['x']]);
    feed.stop();
    const times = asked.length;
    expect(asked.slice(0, 4)).toEqual([0, 2, 3, 10]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(asked.length).toBe(times);
  });
});
