/** What happened to a device of a story before it began: its timeline, its log, its wakes, its updates. */
import type {
  ActivityCursor,
  ActivityPage,
  ActivityRecord,
  DeviceView,
  StateKind,
  TimelineEntry,
  UpdateRecord,
  UpdateStateView,
  UpdateView,
  WakeRecord,
} from '..';
import { ago, BUILT_AFTER, DAY, HOUR, MINUTE } from './devices';
import { buildOutput } from './output';
import { problems } from './problems';

export interface Past {
  timeline: TimelineEntry[];
  lines: string[];
}

/** What must have happened before, so that the drawer of a story has something to show. */
export function pastOf(device: DeviceView): Past {
  const { update } = device;
  if (!update) return { timeline: [], lines: [] };
  const lines = buildOutput(device.name);
  const { kind } = update.state;
  const shown = kind === 'queued' ? 0 : kind === 'building' ? 18 : lines.length;
  return { timeline: timelineOf(device, update), lines: lines.slice(0, shown) };
}

function timelineOf({ addresses, file }: DeviceView, update: UpdateView): TimelineEntry[] {
  const { state, requestedAt, attempts } = update;
  const entry = (at: number, state: StateKind, text: string, code: string | null = null) => ({
    at,
    state,
    text,
    code,
  });
  const connected = (at: number, attempt: number) =>
    entry(at, 'flashing', `Connected to ${addresses[0] ?? '192.168.7.42'} (attempt ${attempt}).`);
  const asked = entry(requestedAt, 'queued', 'Install requested.');
  const building = entry(requestedAt + 4_000, 'building', 'ESPHome builds the firmware.');
  const built = entry(
    requestedAt + BUILT_AFTER,
    'waiting',
    'Built: 879 kB. Waiting for the device.',
  );
  const past = [asked, building, built];
  /** The device took it in the wake whose flash began then. */
  const taken = (at: number) => [
    ...past,
    connected(at, attempts),
    entry(
      at + 9_000,
      'confirming',
      'The device took the new firmware; waiting for it to come back.',
    ),
  ];
  switch (state.kind) {
    case 'queued':
      return [asked];
    case 'building':
      return [asked, building];
    case 'waiting': {
      const last = update.lastAttempt?.at ?? 0;
      // One in each wake, the wakes being 24 minutes apart.
      const tries = Array.from({ length: attempts }, (_, n) => {
        const lost = last - (attempts - 1 - n) * 24 * MINUTE;
        return [
          connected(lost - 7_000, n + 1),
          entry(lost, 'waiting', problems.connectionLost.message, 'ota.closed'),
        ];
      });
      return [...past, ...tries.flat()];
    }
    case 'held':
      return [...past, entry(ago(MINUTE), 'held', `Held: ${file} changed since the build.`)];
    case 'flashing':
      return [...past, connected(state.since, attempts)];
    case 'confirming':
      return taken(state.since - 9_000);
    case 'installed':
      return [
        ...taken(state.at - 14_000),
        entry(state.at, 'installed', 'Installed: the device announced the new firmware.'),
      ];
    case 'failed':
      return [
        ...(state.rolledBack ? taken(state.at - MINUTE) : [...past, connected(state.at, attempts)]),
        entry(state.at, 'failed', state.problem.message, state.problem.code),
      ];
    case 'cancelled':
      return [...past, entry(state.at, 'cancelled', 'Cancelled.')];
    case 'superseded':
      return past;
  }
}

/** The same every time, and different for each device. */
function noise(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43758.5453;
  return x - Math.floor(x);
}

export function wakesOf(device: DeviceView): WakeRecord[] {
  const { wake, lastSeen } = device;
  if (!wake || lastSeen === null) return [];
  const period = (wake.periodSeconds ?? 4 * 3_600) * 1_000;
  const spread = wake.rhythm === 'irregular' ? 1.4 : 0.06;
  return Array.from({ length: 36 }, (_, n) => ({
    at: Math.round(lastSeen - period * (n + (noise(n + device.name.length) - 0.5) * spread)),
    awakeSeconds: n === 7 ? null : Math.round(9 + 12 * noise(n * 3 + device.name.length)),
    flashed: n === 14,
  })).reverse();
}

const sizes = { imageSize: 878_592, wireSize: 603_120 };

/** Earlier updates, oldest first: the update in the device's view is not among them. `nth`: which device it is. */
export function earlierOf(device: DeviceView, nth: number): UpdateRecord[] {
  if (device.file === null || device.deployedVersion === null) return [];
  const past = (
    id: number,
    at: number,
    state: UpdateStateView,
    part: Partial<UpdateRecord> = {},
  ): UpdateRecord => ({
    id: id - 10 * nth,
    requestedAt: ago(at),
    endedAt: ago(at - 47 * MINUTE),
    state,
    attempts: 1,
    ...sizes,
    encrypted: true,
    buildSeconds: 47,
    flashSeconds: 11,
    wantedVersion: '2026.9.2',
    wantedHash: '06b5fb73',
    ...part,
  });
  const none = {
    attempts: 0,
    imageSize: null,
    wireSize: null,
    encrypted: null,
    buildSeconds: null,
    flashSeconds: null,
  };
  const installed = (at: number) =>
    ({ kind: 'installed', at: ago(at), how: 'confirmed', watched: false }) as const;
  return [
    past(-4, 96 * DAY, installed(96 * DAY), { encrypted: false, wantedVersion: '2026.7.0' }),
    past(-3, 41 * DAY, { kind: 'cancelled', at: ago(41 * DAY), mayHaveArrived: false }, none),
    past(
      -2,
      9 * DAY + HOUR,
      {
        kind: 'failed',
        at: ago(9 * DAY),
        rolledBack: false,
        mayHaveArrived: false,
        problem: problems.configInvalid,
      },
      { ...none, endedAt: ago(9 * DAY + 59 * MINUTE) },
    ),
    past(-1, 9 * DAY, installed(9 * DAY), { attempts: 2 }),
  ];
}

/** The update of the device's view, as a record. */
export function recordOf(update: UpdateView): UpdateRecord {
  const { state } = update;
  const over = 'at' in state ? state.at : null;
  const built = !['queued', 'building'].includes(state.kind);
  return {
    id: update.id,
    requestedAt: update.requestedAt,
    endedAt: over,
    state,
    attempts: update.attempts,
    imageSize: built ? sizes.imageSize : null,
    wireSize: update.attempts > 0 ? sizes.wireSize : null,
    encrypted: update.encrypted,
    buildSeconds: built ? 51 : null,
    flashSeconds: state.kind === 'installed' ? 9 : null,
    wantedVersion: update.wantedVersion,
    wantedHash: update.wantedHash,
  };
}

function endOf({ update }: ActivityRecord): number {
  return update.endedAt ?? 0;
}

/** A page of what has ended, as the application cuts it. */
export function pageOf(
  all: readonly ActivityRecord[],
  before: ActivityCursor | null,
  limit: number,
): ActivityPage {
  const sorted = all.toSorted((a, b) => endOf(b) - endOf(a) || b.update.id - a.update.id);
  const rest = sorted.filter((one) => {
    const at = endOf(one);
    return !before || at < before.at || (at === before.at && one.update.id < before.id);
  });
  const records = rest.slice(0, limit);
  const last = rest.length > limit ? records.at(-1) : undefined;
  return { records, next: last ? { at: endOf(last), id: last.update.id } : null };
}

/** What has ended for a device: its earlier updates, and that of its view when it is over. */
export function endedOf(device: DeviceView, earlier: readonly UpdateRecord[]): ActivityRecord[] {
  const { update } = device;
  const last = update && 'at' in update.state ? [recordOf(update)] : [];
  let fromVersion: string | null = null;
  return [...earlier, ...last].map((record) => {
    const ended = {
      device: device.id,
      name: device.name,
      fromVersion,
      update: record,
    };
    if (record.state.kind === 'installed') fromVersion = record.wantedVersion;
    return ended;
  });
}
