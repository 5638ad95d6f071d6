/** What a waiting update waits for, in words. */
import type { DeviceView } from '../backend';
import { texts } from '../i18n/index.svelte';
import { ago, dayAndTime, timeOfDay, wakesIn } from '../shared/time';
import type { Tone } from './words';

export interface Expectation {
  /** "in ~12 min". */
  title: string;
  detail: string;
  tone: Tone;
}

export function expectation(device: DeviceView, now: number): Expectation {
  const t = texts.waiting;
  const { wake, lastSeen } = device;
  const seen = lastSeen === null ? texts.presence.neverSeen : t.lastSeen(ago(lastSeen, now));
  const rest = device.update?.restsUntil ?? null;
  if (rest !== null && rest > now) {
    return { title: texts.update.rests(timeOfDay(rest, now)), detail: seen, tone: 'warn' };
  }
  if (device.presence === 'online') {
    return { title: t.connecting, detail: t.connectingMeans, tone: 'working' };
  }
  if (wake?.overdue) {
    const detail = wake.next === null ? seen : t.overdueSince(dayAndTime(wake.next, now));
    return { title: t.overdue, detail: `${detail}, ${seen}`, tone: 'warn' };
  }
  if (wake?.next != null) {
    const detail = t.expectedAt(dayAndTime(wake.next, now));
    return { title: t.nextWake(wakesIn(wake.next, wake, now)), detail, tone: 'waiting' };
  }
  if (wake?.rhythm === 'irregular') {
    return { title: t.irregular, detail: t.irregularMeans, tone: 'waiting' };
  }
  if (device.deepSleep || device.presence === 'asleep') {
    return { title: t.unknown, detail: t.unknownMeans, tone: 'waiting' };
  }
  return { title: t.device, detail: seen, tone: 'idle' };
}

/** The sooner it is expected, the higher it stands; what is overdue comes first. */
export function soonest(a: DeviceView, b: DeviceView): number {
  const rank = ({ presence, wake }: DeviceView) =>
    presence === 'online' ? 0 : wake?.overdue ? 1 : (wake?.next ?? Number.MAX_SAFE_INTEGER);
  return rank(a) - rank(b);
}
