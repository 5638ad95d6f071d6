/** What the user wants to know first: what waits, when it happens, whether it worked. */
import type { DeviceView, StateKind } from '../backend';
import { texts } from '../i18n/index.svelte';
import { assertNever } from '../shared/assert';
import { ago, wakesIn } from '../shared/time';
import { isUnseen, isUntold } from './presence';
import { displayName, groupOf, stateWords } from '../updates/words';

export interface Headline {
  title: string;
  /** At most three short sentences beside what needs the user, all of them known to be true. */
  facts: string[];
}

/** An update that ended longer ago isn't news. */
const NEWS_MS = 24 * 3_600_000;

/** The user who cancelled knows it: said for a while, so that nobody wonders what became of it. */
const CANCELLED_NEWS_MS = 10 * 60_000;

/** When an update ended that needs nobody, as long as it is news; else 0. */
function endedAt(device: DeviceView, now: number): number {
  const state = device.update?.state;
  if (state?.kind === 'installed') return state.at > now - NEWS_MS ? state.at : 0;
  if (state?.kind === 'cancelled') return state.at > now - CANCELLED_NEWS_MS ? state.at : 0;
  return 0;
}

/** Updates that were cancelled, and how many of them may have arrived nevertheless. */
interface Cancelled {
  all: number;
  late: number;
}

/** What became of the update that ended last; of several that were cancelled, how many. */
function endedWords(last: DeviceView, cancelled: Cancelled, now: number): string | null {
  const t = texts.headline;
  const state = last.update?.state;
  const name = displayName(last);
  if (state?.kind === 'installed') {
    const when = ago(state.at, now);
    switch (state.how) {
      case 'confirmed':
        return t.last(name, when);
      case 'returned':
        return t.installed(name, when);
      case 'alreadyRunning':
        return t.already(name);
      default:
        assertNever(state.how);
    }
  }
  if (state?.kind !== 'cancelled') return null;
  if (cancelled.all > 1) return t.cancelledMany(cancelled.all, cancelled.late);
  return state.mayHaveArrived ? t.cancelledLate(name) : t.cancelled(name);
}

function nextWake(waiting: readonly DeviceView[]): DeviceView | undefined {
  return waiting
    .filter(({ wake }) => wake?.next != null && !wake.overdue)
    .sort((a, b) => (a.wake?.next ?? 0) - (b.wake?.next ?? 0))[0];
}

export function headlineOf(devices: readonly DeviceView[], now: number, paused: boolean): Headline {
  const t = texts.headline;
  const groups = { waiting: [] as DeviceView[], working: [] as DeviceView[] };
  const counts = { attention: 0, available: 0, unseen: 0, untold: 0, broken: 0 };
  const cancelled: Cancelled = { all: 0, late: 0 };
  let last: DeviceView | undefined;
  for (const device of devices) {
    const group = groupOf(device);
    if (group === 'attention') counts.attention += 1;
    else if (group) groups[group].push(device);
    if (device.updateAvailable && group === null) counts.available += 1;
    if (device.problem) counts.broken += 1;
    if (isUnseen(device)) counts.unseen += 1;
    else if (isUntold(device)) counts.untold += 1;
    const at = endedAt(device, now);
    const state = device.update?.state;
    if (at > 0 && state?.kind === 'cancelled') {
      cancelled.all += 1;
      if (state.mayHaveArrived) cancelled.late += 1;
    }
    if (at > (last ? endedAt(last, now) : 0)) last = device;
  }
  const { waiting, working } = groups;
  const facts: string[] = [];
  const inState = (kind: StateKind) => working.find((one) => one.update?.state.kind === kind);
  const doing = inState('flashing') ?? inState('building') ?? working[0];
  if (doing) facts.push(t.doing(displayName(doing), stateWords(doing, now, paused).title));
  // While nothing is flashed, a wake is missed: none is promised.
  const next = paused ? undefined : nextWake(waiting);
  if (next?.wake?.next != null) {
    facts.push(t.next(displayName(next), wakesIn(next.wake.next, next.wake, now)));
  } else {
    const overdue = waiting.find((device) => device.wake?.overdue);
    if (overdue && !paused) facts.push(t.overdue(displayName(overdue)));
  }
  const ended = last && endedWords(last, cancelled, now);
  if (ended) facts.push(ended);
  const busy = waiting.length + working.length + counts.attention > 0;
  const title =
    waiting.length > 0
      ? t.waiting(waiting.length)
      : working.length > 0
        ? t.working(working.length)
        : counts.attention > 0
          ? t.attention(counts.attention)
          : t.quiet;
  if (counts.broken > 0) facts.push(t.broken(counts.broken));
  if (counts.available > 0 && !busy) facts.push(t.available(counts.available));
  if (counts.unseen > 0) facts.push(t.unseen(counts.unseen));
  if (counts.untold > 0) facts.push(t.untold(counts.untold));
  if (facts.length === 0 && !busy) facts.push(t.current);
  const few = facts.slice(0, 3);
  const needed = counts.attention > 0 && waiting.length + working.length > 0;
  return { title, facts: needed ? [t.attention(counts.attention), ...few] : few };
}
