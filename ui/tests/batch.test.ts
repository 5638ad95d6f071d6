/** Updating all: what is done of it, what waits, and when it will be finished. */
import { screen } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DeviceView, UpdateStateView } from '../src/lib/backend';
import { device, update, wakes } from '../src/lib/backend/fake/devices';
import { batchOf, forecast, paceOf, USUAL } from '../src/lib/home/batch';
import { forecastWords } from '../src/lib/home/forecast';
import { CLICKS, expectAccessible, show } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('updating all', () => {
  const now = Date.UTC(2026, 10, 23, 12);
  const at = now - HOUR;
  const member = (name: string, state: UpdateStateView, part: Partial<DeviceView> = {}) =>
    device(name, { update: update(state, { requestedAt: at }), ...part });
  const next = (minutes: number) => ({
    wake: wakes(60, 0, { next: now + minutes * MINUTE, periodSeconds: 3_600 }),
  });
  const waiting = { kind: 'waiting', since: at, mayHaveArrived: false } as const;
  const done = { kind: 'installed', at: now, how: 'confirmed', watched: false } as const;

  it('is one thing with its parts, which are all of it', () => {
    const devices = [
      member('A', done),
      member('B', waiting, next(30)),
      member('C', { kind: 'building', since: now }),
      member('D', { kind: 'held', changes: [], mayHaveArrived: false }),
      member('E', { kind: 'cancelled', at: now, mayHaveArrived: false }),
      device('F', { update: update(waiting, { requestedAt: at + 1 }) }),
    ];
    const batch = batchOf(devices, USUAL, 1, now);
    expect(batch).toMatchObject({ all: 4, done: 1, waiting: 1, working: 1, attention: 1 });
    expect(batchOf(devices.slice(3), USUAL, 1, now), 'two are none').toBeNull();
  });

  it('says when the last of them is expected, after its build', () => {
    const pace = paceOf([120, 60, 90], [10]);
    expect(pace).toEqual({ build: 90_000, flash: 10_000 });
    // Built after 2 × 90 s: its next wake comes too early, the one after it doesn't.
    const devices = [
      member('Soon', { kind: 'queued', ahead: 0, again: null }, next(30)),
      member('Early', { kind: 'queued', ahead: 1, again: null }, next(2)),
      member('Button', waiting, { wake: wakes(0, 0, { rhythm: 'irregular', next: null }) }),
    ];
    const expected = forecast(devices, pace, 1, now);
    expect(expected).toEqual({
      known: { at: now + 62 * MINUTE + 10_000, last: 'Early' },
      unknown: 1,
    });
    expect(forecast(devices, pace, 2, now)?.known?.last).toBe('Soon');
    expect(forecastWords(expected!, now)).toMatch(
      /^expected done at \d\d:\d\d, Early last, 1 whenever it wakes$/,
    );
    expect(forecastWords({ known: { at: now + 24 * HOUR, last: 'A' }, unknown: 0 }, now)).toMatch(
      /^expected done tomorrow \d\d:\d\d, A last$/,
    );
    const any = forecast(devices.slice(2), pace, 1, now);
    expect(forecastWords(any!, now)).toBe('done when it wakes or comes back');
    expect(forecast([], pace, 1, now)).toBeNull();
  });

  it('is paused and cancelled as a whole', async () => {
    const backend = await show('batch', {}, 'home');
    const card = await screen.findByTestId('batch');
    expect(card).toHaveTextContent(/34 of 60/);
    await expectAccessible(card);
    await user.click(screen.getByTestId('batch-pause'));
    expect(backend.calls).toEqual(['setPaused true']);
    await user.click(screen.getByTestId('batch-cancel'));
    expect(await screen.findByRole('alertdialog')).toHaveTextContent(/Cancel 25 updates\?/);
  });
});
