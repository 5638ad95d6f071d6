/** What has ended as a table for other programs: comma-separated, with times and versions as they are. */
import type { ActivityRecord } from '../backend';
import { say } from '../i18n/problems';
import { machineTime } from '../shared/time';
import { outcomeOf, waitedOf } from './done';

const HEAD = [
  'device',
  'file',
  'outcome',
  'requested',
  'ended',
  'from version',
  'to version',
  'known by',
  'waited seconds',
  'build seconds',
  'transfer seconds',
  'attempts',
  'encrypted',
  'problem',
];

/** A text that could be taken for a formula is none. */
function cell(value: string | number | boolean | null): string {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function row(record: ActivityRecord): (string | number | boolean | null)[] {
  const { name, device, fromVersion, update } = record;
  const { state, endedAt, requestedAt } = update;
  const waited = waitedOf(update);
  return [
    name,
    device,
    outcomeOf(record),
    machineTime(requestedAt),
    endedAt === null ? null : machineTime(endedAt),
    fromVersion,
    update.wantedVersion,
    state.kind === 'installed' ? state.how : null,
    waited === null ? null : Math.round(waited / 1_000),
    update.buildSeconds,
    update.flashSeconds,
    update.attempts,
    update.encrypted,
    state.kind === 'failed' ? say(state.problem).message : null,
  ];
}

export function csvOf(records: readonly ActivityRecord[]): string {
  return [HEAD, ...records.map(row)].map((cells) => cells.map(cell).join(',') + '\r\n').join('');
}
