/**
 * Which group an update is in, and how many are in each: every number of the window counts these, and the application's
 * own (tray, badge) count the same. Both are tested with the core's `groups.json`.
 */
import type { DeviceView, Problem, UpdateView } from '../backend';
import { assertNever } from '../shared/assert';
import { refusalOf } from './refusal';
import { isActive } from './words';

/** Each device is in one of them, or has nothing under way. */
export type Group = 'attention' | 'working' | 'waiting';

/** Who answered at the device's address couldn't be told, or was somebody else. */
function isMistaken({ lastAttempt }: UpdateView): boolean {
  const code = lastAttempt?.problem.code;
  return code === 'gate.other_device' || code === 'gate.unidentified';
}

/** What is wrong with the directory is said once, for all of its devices. */
export function ownProblem(device: DeviceView): Problem | null {
  const problem = refusalOf(device);
  return problem?.code.startsWith('config_dir.') ? null : problem;
}

export function groupOf(device: DeviceView): Group | null {
  const { update, wake } = device;
  const broken = ownProblem(device) ? 'attention' : null;
  const crashes = device.crashLoop ? 'attention' : null;
  const kind = update?.state.kind;
  switch (kind) {
    case 'queued':
    case 'building':
    case 'flashing':
    case 'confirming':
      return 'working';
    case 'held':
    case 'failed':
      return 'attention';
    case 'waiting':
      return broken ?? (wake?.overdue || (update && isMistaken(update)) ? 'attention' : 'waiting');
    case 'installed':
    case 'cancelled':
    case 'superseded':
    case undefined:
      return broken ?? crashes;
    default:
      return assertNever(kind);
  }
}

/** There is something newer for it, and nothing under way: what Update all installs. */
export function isAvailable(device: DeviceView): boolean {
  const { update, updateAvailable } = device;
  const active = update !== null && isActive(update.state.kind);
  return updateAvailable && refusalOf(device) === null && !active;
}

interface Tally extends Record<Group, number> {
  available: number;
}

export function tally(devices: readonly DeviceView[]): Tally {
  const counts: Tally = { attention: 0, working: 0, waiting: 0, available: 0 };
  for (const device of devices) {
    const group = groupOf(device);
    if (group) counts[group] += 1;
    if (isAvailable(device)) counts.available += 1;
  }
  return counts;
}
