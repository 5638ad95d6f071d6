/** An update that has ended, in words. */
import type { ActivityRecord, UpdateRecord } from '../backend';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
import { exactSpan } from '../shared/time';
import { assertNever } from '../shared/assert';

export const OUTCOMES = ['installed', 'failed', 'rolledBack', 'cancelled', 'superseded'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export function outcomeOf({ update: { state } }: ActivityRecord): Outcome {
  switch (state.kind) {
    case 'installed':
    case 'cancelled':
    case 'superseded':
      return state.kind;
    case 'failed':
      return state.rolledBack ? 'rolledBack' : 'failed';
    case 'queued':
    case 'building':
    case 'waiting':
    case 'held':
    case 'flashing':
    case 'confirming':
      throw new Error(`update ${state.kind} has not ended`);
    default:
      return assertNever(state);
  }
}

export function toneOfOutcome(outcome: Outcome): 'good' | 'bad' | 'idle' {
  switch (outcome) {
    case 'installed':
      return 'good';
    case 'failed':
    case 'rolledBack':
      return 'bad';
    case 'cancelled':
    case 'superseded':
      return 'idle';
    default:
      return assertNever(outcome);
  }
}

/** "2026.9.2 → 2026.10.0"; empty: it was never built. */
function versionsOf({ fromVersion, update }: ActivityRecord): string {
  const to = update.wantedVersion;
  if (to === null) return '';
  return fromVersion === null ? texts.home.to(to) : texts.home.fromTo(fromVersion, to);
}

/** How long it waited for its device, in milliseconds; `null`: it was never built or sent. */
export function waitedOf(update: UpdateRecord): number | null {
  const { endedAt, requestedAt, buildSeconds, flashSeconds } = update;
  if (endedAt === null || flashSeconds === null) return null;
  return Math.max(0, endedAt - requestedAt - ((buildSeconds ?? 0) + flashSeconds) * 1_000);
}

/** "2026.9.2 → 2026.10.0 · waited 35 min, sent in 4 s". */
export function doneWords(record: ActivityRecord): string {
  const { state, flashSeconds } = record.update;
  const t = texts.activity;
  if (state.kind === 'failed') return say(state.problem).title;
  const waited = waitedOf(record.update);
  const took = [
    waited === null ? '' : t.waited(exactSpan(waited)),
    flashSeconds === null ? '' : t.sent(exactSpan(flashSeconds * 1_000)),
  ];
  const late =
    state.kind === 'cancelled' && state.mayHaveArrived ? texts.update.mayHaveArrived : '';
  const parts = [versionsOf(record), took.filter(Boolean).join(', '), late];
  return parts.filter(Boolean).join(' · ');
}
