/** What the home shows, in the order in which it matters. */
import type { ActivityRecord, DeviceView } from '../backend';
import { groupOf, ownProblem } from '../updates/groups';
import { soonest } from './next';

interface Sections {
  /** Decisions and failures, newest first; then files that can't be read. */
  attention: DeviceView[];
  /** Those whose wake didn't come, the longest awaited first. */
  overdue: DeviceView[];
  /** Flashing, confirming, building, queued. */
  working: DeviceView[];
  waiting: DeviceView[];
}

const WORKING = ['flashing', 'confirming', 'building', 'queued'];

function endedAt({ update }: DeviceView): number {
  const state = update?.state;
  return state && 'at' in state ? state.at : (update?.requestedAt ?? 0);
}

/** The queue is drawn in the order in which it is built. */
function progressed({ update }: DeviceView): number {
  const state = update?.state;
  if (!state) return 0;
  return WORKING.indexOf(state.kind) * 1e6 + (state.kind === 'queued' ? state.ahead : 0);
}

export function sectionsOf(devices: readonly DeviceView[]): Sections {
  const sections: Sections = { attention: [], overdue: [], working: [], waiting: [] };
  for (const device of devices) {
    const group = groupOf(device);
    if (group === null) continue;
    const late = group === 'attention' && isOverdue(device);
    sections[late ? 'overdue' : group].push(device);
  }
  sections.attention.sort((a, b) => endedAt(b) - endedAt(a));
  sections.overdue.sort((a, b) => (a.wake?.next ?? 0) - (b.wake?.next ?? 0));
  sections.working.sort((a, b) => progressed(a) - progressed(b));
  sections.waiting.sort(soonest);
  return sections;
}

/** It needs somebody for nothing else than that it didn't wake. */
function isOverdue(device: DeviceView): boolean {
  const { update, wake } = device;
  return update?.state.kind === 'waiting' && !ownProblem(device) && (wake?.overdue ?? false);
}

interface DonePart {
  kind: 'new' | 'today' | 'earlier';
  records: ActivityRecord[];
}

/** What has ended: since the user last looked, then today, then earlier. What needs the user stands above. */
export function doneOf(
  records: readonly ActivityRecord[],
  devices: readonly DeviceView[],
  seen: number,
  now: number,
): DonePart[] {
  const above = new Set(
    devices.flatMap((device) => (groupOf(device) === 'attention' ? (device.update?.id ?? []) : [])),
  );
  const today = new Date(now).setHours(0, 0, 0, 0);
  const parts: DonePart[] = [
    { kind: 'new', records: [] },
    { kind: 'today', records: [] },
    { kind: 'earlier', records: [] },
  ];
  for (const record of records) {
    if (above.has(record.update.id)) continue;
    const at = record.update.endedAt ?? 0;
    parts[at > seen ? 0 : at >= today ? 1 : 2]?.records.push(record);
  }
  return parts.filter((part) => part.records.length > 0);
}
