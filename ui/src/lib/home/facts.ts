/** What stands below the headline: when the next wake is, what has worked, and what could be done. */
import type { DeviceId, DeviceView } from '../backend';
import type { Filter } from '../devices/filter';
import { isUnseen, isUntold } from '../devices/presence';
import { texts } from '../i18n/index.svelte';
import { timeOfDay } from '../shared/time';
import { groupOf, tally } from '../updates/groups';
import { displayName } from '../updates/words';

/** Where a number leads: to the devices that it counts, to a part of the page, or to the device that it is about. */
export type Way = { filter: Filter } | { part: string } | { device: DeviceId };

export interface Fact {
  text: string;
  /** What it is called in tests, and what else counts the same. */
  key: string;
  way: Way | null;
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
  const say = (key: string, text: string, way: Way | null) => facts.push({ key, text, way });
  const count = (filter: Filter, text: string) => say(filter, text, { filter });
  // While nothing is flashed, a wake is missed: none is promised.
  const next = paused ? null : nextWake(devices);
  if (next) {
    const at = texts.batch.today(timeOfDay(next.at, now));
    say('next', t.nextWake(displayName(next.device), at), { device: next.device.id });
  }
  if (updated > 0) say('updated', t.updated(updated), { part: 'done-new' });
  if (counts.available > 0) count('available', t.available(counts.available));
  const unseen = devices.filter(isUnseen).length;
  const untold = devices.filter(isUntold).length;
  if (unseen > 0) count('unseen', texts.headline.unseen(unseen));
  if (untold > 0) count('untold', texts.headline.untold(untold));
  if (facts.length === 0 && counts.attention + counts.waiting + counts.working === 0) {
    say('current', texts.headline.current, null);
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
