/** What happened to a device of a story before it began: its timeline, its log, its wakes, its updates. */
import type {
  DeviceView,
  StateKind,
  TimelineEntry,
  UpdateRecord,
  UpdateStateView,
  UpdateView,
  WakeRecord,
} from '..';
import { assertNever } from '../../shared/assert';
import { ago, DAY, HOUR, MINUTE } from './devices';
import { buildOutput } from './output';

export interface Past {
  timeline: TimelineEntry[];
  lines: string[];
}

/** What must have happened before, so that the drawer of a story has something to show. */
export function pastOf(device: DeviceView): Past {
  const { update } = device;
  if (!update) return { timeline: [], lines: [] };
  const lines = buildOutput(device.name);
  const words: [StateKind, string][] = [
    ['queued', 'Install requested.'],
    ['building', 'ESPHome builds the firmware.'],
    ['waiting', 'Built: 879 kB. Waiting for the device.'],
    ['flashing', 'Connected to 192.168.7.42 (attempt 1).'],
    [
      'waiting',
      'The connection to the device was lost during the transfer. It will be tried again as soon as the device answers.',
    ],
    ['flashing', 'Connected to 192.168.7.42 (attempt 2).'],
    ['confirming', 'The device took the new firmware; waiting for it to come back.'],
  ];
  const { timeline, seen } = until(update, words);
  const log = seen < 2 ? [] : update.state.kind === 'building' ? lines.slice(0, 18) : lines;
  return { timeline, lines: log };
}

function steps(update: UpdateView): number {
  const { state } = update;
  switch (state.kind) {
    case 'queued':
      return 1;
    case 'building':
      return 2;
    case 'waiting':
      return update.attempts > 0 ? 5 : 3;
    case 'held':
      return 3;
    case 'flashing':
      return 6;
    case 'confirming':
    case 'installed':
    case 'failed':
      return 7;
    case 'cancelled':
    case 'superseded':
      return 3;
    default:
      return assertNever(state);
  }
}

function until(update: UpdateView, words: [StateKind, string][]) {
  const { state } = update;
  const seen = steps(update);
  const gap = (Date.now() - update.requestedAt) / (seen + 1);
  const timeline: TimelineEntry[] = words.slice(0, seen).map(([state, text], n) => ({
    at: Math.round(update.requestedAt + n * gap),
    state,
    text,
    code: text.startsWith('The connection') ? 'ota.closed' : null,
  }));
  const last: Partial<Record<StateKind, string>> = {
    held: 'Held: rain-gauge.yaml changed since the build.',
    installed: 'Installed: the device announced the new firmware.',
    failed: state.kind === 'failed' ? state.problem.message : '',
    cancelled: 'Cancelled.',
  };
  const text = last[state.kind];
  const code = state.kind === 'failed' ? state.problem.code : null;
  if (text) timeline.push({ at: Date.now() - 60_000, state: state.kind, text, code });
  return { timeline, seen };
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

const rejected = {
  code: 'build.config_invalid',
  message: 'ESPHome rejects the configuration: Platform not found: sensor.sht5x.',
  help: 'Correct the YAML, then retry.',
};

const sizes = { imageSize: 878_592, wireSize: 603_120 };

/** Earlier updates, oldest first: the update in the device's view is not among them. */
export function earlierOf(device: DeviceView): UpdateRecord[] {
  if (device.file === null || device.deployedVersion === null) return [];
  const past = (
    id: number,
    at: number,
    state: UpdateStateView,
    part: Partial<UpdateRecord> = {},
  ): UpdateRecord => ({
    id,
    requestedAt: ago(at),
    endedAt: ago(at - 47 * MINUTE),
    state,
    attempts: 1,
    ...sizes,
    encrypted: true,
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
      { kind: 'failed', at: ago(9 * DAY), rolledBack: false, problem: rejected },
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
    flashSeconds: state.kind === 'installed' ? 9 : null,
    wantedVersion: update.wantedVersion,
    wantedHash: update.wantedHash,
  };
}
