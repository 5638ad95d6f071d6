/** What the user wants to know first: what waits, when it happens, whether it worked. */
import type { DeviceView, StateKind } from '../backend';
import { texts } from '../i18n/index.svelte';
import { ago, wakesIn } from '../shared/time';
import { isUnseen, isUntold } from './presence';
import { displayName, groupOf, stateWords } from '../updates/words';

export interface Headline {
  title: string;
  /** At most three short sentences, all of them known to be true. */
  facts: string[];
}

/** An update that ended longer ago isn't news. */
const NEWS_MS = 24 * 3_600_000;

function installedAt(device: DeviceView): number {
  const state = device.update?.state;
  return state?.kind === 'installed' ? state.at : 0;
}

function nextWake(waiting: readonly DeviceView[]): DeviceView | undefined {
  return waiting
    .filter(({ wake }) => wake?.next != null && !wake.overdue)
    .sort((a, b) => (a.wake?.next ?? 0) - (b.wake?.next ?? 0))[0];
}

export function headlineOf(devices: readonly DeviceView[], now: number): Headline {
  const t = texts.headline;
  const groups = { waiting: [] as DeviceView[], working: [] as DeviceView[] };
  const counts = { attention: 0, available: 0, unseen: 0, untold: 0, broken: 0 };
  let last: DeviceView | undefined;
  for (const device of devices) {
    const group = groupOf(device);
    if (group === 'attention') counts.attention += 1;
    else if (group) groups[group].push(device);
    if (device.updateAvailable && group === null) counts.available += 1;
    if (device.problem) counts.broken += 1;
    if (isUnseen(device)) counts.unseen += 1;
    else if (isUntold(device)) counts.untold += 1;
    if (installedAt(device) > (last ? installedAt(last) : now - NEWS_MS)) last = device;
  }
  const { waiting, working } = groups;
  const facts: string[] = [];
  const inState = (kind: StateKind) => working.find((one) => one.update?.state.kind === kind);
  const doing = inState('flashing') ?? inState('building') ?? working[0];
  if (doing) facts.push(t.doing(displayName(doing), stateWords(doing, now).title));
  const next = nextWake(waiting);
  if (next?.wake?.next != null) {
    facts.push(t.next(displayName(next), wakesIn(next.wake.next, next.wake, now)));
  } else {
    const overdue = waiting.find((device) => device.wake?.overdue);
    if (overdue) facts.push(t.overdue(displayName(overdue)));
  }
  if (last) facts.push(t.last(displayName(last), ago(installedAt(last), now)));
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
  return { title, facts: facts.slice(0, 3) };
}
