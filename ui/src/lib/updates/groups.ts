/**
 * Which group an update is in, and how many are in each: every number of the window counts these, and the application's
 * own (tray, badge) count the same. Both are tested with the core's `groups.json`.
 */
import type { DeviceView, UpdateView } from '../backend';
import { assertNever } from '../shared/assert';

/** Each device is in one of them, or has nothing under way. */
export type Group = 'attention' | 'working' | 'waiting';

/** Who answered at the device's address couldn't be told, or was somebody else. */
export function isMistaken({ lastAttempt }: UpdateView): boolean {
  const code = lastAttempt?.problem.code;
  return code === 'gate.other_device' || code === 'gate.unidentified';
}

export function groupOf({ update, problem, wake }: DeviceView): Group | null {
  const broken = problem === null ? null : 'attention';
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
      return broken;
    default:
      return assertNever(kind);
  }
}

/** There is something newer for it, and nothing under way. */
export function isAvailable(device: DeviceView): boolean {
  return device.updateAvailable && groupOf(device) === null;
}

export interface Tally extends Record<Group, number> {
  available: number;
}

export function tally(devices: readonly DeviceView[]): Tally {
  const counts: Tally = { attention: 0, working: 0, waiting: 0, available: 0 };
  for (const device of devices) {
    const group = groupOf(device);
    if (group) counts[group] += 1;
    else if (device.updateAvailable) counts.available += 1;
  }
  return counts;
}
