/** What stands below the headline: when the next wake is, what has worked, and what could be done. */
import type { DeviceView } from '../backend';
import type { Filter } from '../devices/filter';
import { isUnseen, isUntold } from '../devices/presence';
import { texts } from '../i18n/index.svelte';
import { timeOfDay } from '../shared/time';
import { groupOf, tally } from '../updates/groups';
import { displayName } from '../updates/words';

export interface Fact {
  text: string;
  /** The devices that it counts. */
  filter: Filter | null;
}

/** At most these; the first are more to the point. */
const SHOWN = 3;

export function factsOf(
  devices: readonly DeviceView[],
  now: number,
  paused: boolean,
  updated: number,
): Fact[] {
  const t = texts.home;
  const counts = tally(devices);
  const facts: Fact[] = [];
  const say = (text: string, filter: Filter | null = null) => facts.push({ text, filter });
  // While nothing is flashed, a wake is missed: none is promised.
  const next = paused ? null : nextWake(devices);
  if (next) say(t.nextWake(displayName(next.device), texts.batch.today(timeOfDay(next.at, now))));
  if (updated > 0) say(t.updated(updated));
  if (counts.available > 0) say(t.available(counts.available), 'available');
  const unseen = devices.filter(isUnseen).length;
  const untold = devices.filter(isUntold).length;
  if (unseen > 0) say(texts.headline.unseen(unseen));
  if (untold > 0) say(texts.headline.untold(untold));
  if (facts.length === 0 && counts.attention + counts.waiting + counts.working === 0) {
    say(texts.headline.current);
  }
  return facts.slice(0, SHOWN);
}

function nextWake(devices: readonly DeviceView[]): { device: DeviceView; at: number } | null {
  let next: { device: DeviceView; at: number } | null = null;
  for (const device of devices) {
    const at = device.wake?.next;
    if (groupOf(device) !== 'waiting' || at == null || device.presence === 'online') continue;
    if (!next || at < next.at) next = { device, at };
  }
  return next;
}
