/** The updates that were asked for at once: how far they are, and when the last will be done. */
import type { ActivityRecord, DeviceView } from '../backend';
import { groupOf } from '../updates/groups';
import { displayName, isActive } from '../updates/words';

/** Fewer than these need no sum. */
const LEAST = 3;
const DAY = 24 * 3_600_000;

export interface Batch {
  devices: DeviceView[];
  all: number;
  done: number;
  waiting: number;
  working: number;
  attention: number;
  version: string | null;
  forecast: Forecast | null;
}

export interface Forecast {
  /** `null`: nothing tells of any of them. */
  known: {
    at: number;
    /** Who is done last. */
    last: string;
  } | null;
  /** How many come whenever they wake: nothing tells when. */
  unknown: number;
}

/** How long a build and a transfer take here, in milliseconds. */
export interface Pace {
  build: number;
  flash: number;
}

export const USUAL: Pace = { build: 90_000, flash: 15_000 };

/** The newest updates that one request has started, as long as one of them isn't over or ended less than a day ago. */
export function batchOf(
  devices: readonly DeviceView[],
  pace: Pace,
  parallel: number,
  now: number,
): Batch | null {
  const together = new Map<number, DeviceView[]>();
  for (const device of devices) {
    const { requestedAt: at, state } = device.update ?? {};
    if (at === undefined || state?.kind === 'cancelled' || state?.kind === 'superseded') continue;
    const others = together.get(at);
    if (others) others.push(device);
    else together.set(at, [device]);
  }
  const newest = Math.max(
    0,
    ...[...together].flatMap(([at, members]) => (members.length >= LEAST ? at : [])),
  );
  const members = together.get(newest);
  if (!members) return null;
  const left = members.filter(({ update }) => update && isActive(update.state.kind));
  if (left.length === 0 && newest < now - DAY) return null;
  const groups = members.map(groupOf);
  const count = (group: string) => groups.filter((one) => one === group).length;
  const installed = members.filter(({ update }) => update?.state.kind === 'installed').length;
  const version = members.map(({ update }) => update?.wantedVersion).find(Boolean) ?? null;
  return {
    devices: members,
    all: members.length,
    done: installed,
    waiting: count('waiting'),
    working: count('working'),
    attention: count('attention'),
    version,
    forecast: forecast(left, pace, parallel, now),
  };
}

/** When the last of them is expected to be done; `null`: none is left. */
export function forecast(
  devices: readonly DeviceView[],
  pace: Pace,
  parallel: number,
  now: number,
): Forecast | null {
  const builds = buildTimes(devices, pace, parallel, now);
  let unknown = 0;
  let known: Forecast['known'] = null;
  for (const [n, device] of devices.entries()) {
    const ready = builds[n] ?? now;
    const wakes = device.presence === 'online' ? ready : nextWakeAfter(device, ready, now);
    if (wakes === null) unknown += 1;
    else if (!known || wakes + pace.flash > known.at) {
      known = { at: wakes + pace.flash, last: displayName(device) };
    }
  }
  return devices.length > 0 ? { known, unknown } : null;
}

/** When each of them is built. */
function buildTimes(
  devices: readonly DeviceView[],
  pace: Pace,
  parallel: number,
  now: number,
): number[] {
  let turn = 0;
  return devices.map(({ update }) => {
    const state = update?.state;
    if (state?.kind === 'building') return Math.max(now, state.since + pace.build);
    const built = state && isActive(state.kind) && state.kind !== 'queued';
    if (built) return now;
    turn += 1;
    return now + Math.ceil(turn / Math.max(1, parallel)) * pace.build;
  });
}

function nextWakeAfter({ wake }: DeviceView, ready: number, now: number): number | null {
  if (wake?.next == null || wake.overdue) return null;
  const period = (wake.periodSeconds ?? 0) * 1_000;
  let next = Math.max(wake.next, now);
  if (next < ready && period <= 0) return null;
  if (next < ready) next += Math.ceil((ready - next) / period) * period;
  return next;
}

/** Of so many of the last updates the pace is taken. */
export const RECENT = 50;

export function paceOfRecords(records: readonly ActivityRecord[]): Pace {
  return paceOf(
    records.flatMap(({ update }) => update.buildSeconds ?? []),
    records.flatMap(({ update }) => update.flashSeconds ?? []),
  );
}

/** The usual pace, of what was built and flashed before. */
export function paceOf(builds: readonly number[], flashes: readonly number[]): Pace {
  const median = (seconds: readonly number[], usual: number) => {
    const sorted = seconds.toSorted((a, b) => a - b);
    return (sorted[Math.floor(sorted.length / 2)] ?? usual / 1_000) * 1_000;
  };
  return { build: median(builds, USUAL.build), flash: median(flashes, USUAL.flash) };
}
