/** What the user wants to know first: what waits, when it happens, whether it worked. */
import type { DeviceView } from '../backend';
import { texts } from '../i18n/index.svelte';
import { ago, inAbout } from '../shared/time';
import { displayName, groupOf, stateWords } from '../updates/words';

export interface Headline {
  title: string;
  /** At most three short sentences. */
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
  let attention = 0;
  let available = 0;
  let last: DeviceView | undefined;
  for (const device of devices) {
    const group = groupOf(device);
    if (group === 'attention') attention += 1;
    else if (group) groups[group].push(device);
    if (device.updateAvailable && group === null) available += 1;
    if (installedAt(device) > (last ? installedAt(last) : now - NEWS_MS)) last = device;
  }
  const { waiting, working } = groups;
  const facts: string[] = [];
  const flashing = working.find((device) => device.update?.state.kind === 'flashing');
  if (flashing) facts.push(t.doing(displayName(flashing), stateWords(flashing, now).title));
  const next = nextWake(waiting);
  if (next?.wake?.next != null) facts.push(t.next(displayName(next), inAbout(next.wake.next, now)));
  else {
    const overdue = waiting.find((device) => device.wake?.overdue);
    if (overdue) facts.push(t.overdue(displayName(overdue)));
  }
  if (last) facts.push(t.last(displayName(last), ago(installedAt(last), now)));
  if (facts.length === 0) facts.push(available > 0 ? t.available(available) : t.current);
  const title =
    waiting.length > 0
      ? t.waiting(waiting.length)
      : working.length > 0
        ? t.working(working.length)
        : attention > 0
          ? t.attention(attention)
          : t.quiet;
  return { title, facts };
}
