/** When a waiting device is expected, and what can be done about a wake that is far. */
import type { DeviceView } from '../backend';
import { presenceWords } from '../devices/presence';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
import { countdown, dayAndTime, SOON_MS } from '../shared/time';

export interface Expected {
  /** "in 12 min". */
  title: string;
  /** "14:20". */
  detail: string;
  tone: 'waiting' | 'working' | 'idle';
}

/** A wake that is nearer than this is waited for; for another one, somebody may rather wake the device. */
const FAR_MS = 4 * 3_600_000;

export function expected(device: DeviceView, now: number, paused: boolean): Expected {
  const t = texts.home;
  const { wake, presence } = device;
  if (paused) return { title: t.paused, detail: '', tone: 'idle' };
  const rest = device.update?.restsUntil ?? null;
  if (rest !== null && rest > now) {
    return { title: t.rests, detail: t.restsUntil(dayAndTime(rest, now)), tone: 'idle' };
  }
  if (presence === 'online') return { title: t.connecting, detail: '', tone: 'working' };
  if (wake?.next != null) {
    const title = countdown(wake.next, wake, now);
    return { title, detail: dayAndTime(wake.next, now), tone: 'waiting' };
  }
  if (wake?.rhythm === 'irregular') {
    return { title: t.anyTime, detail: t.anyTimeMeans, tone: 'waiting' };
  }
  if (device.deepSleep || presence === 'asleep') {
    return { title: t.atWake, detail: t.atWakeMeans, tone: 'waiting' };
  }
  return { title: t.whenBack, detail: presenceWords(device, now).title, tone: 'idle' };
}

/** Whether its wake is near enough to count the seconds. */
export function isNear({ wake }: DeviceView, now: number): boolean {
  return wake?.next != null && wake.next - now < SOON_MS;
}

/** What is good to know of one that waits: what went wrong, what may go wrong, or how to have it sooner. */
export function remark(device: DeviceView, now: number): { text: string; warns: boolean } | null {
  const { update, wake } = device;
  if (!update) return null;
  if (update.warning) return { text: say(update.warning).title, warns: true };
  if (update.lastAttempt) {
    const last = say(update.lastAttempt.problem).title;
    const tries = update.attempts > 0 ? `${texts.update.attempts(update.attempts)}, ` : '';
    return { text: `${tries}${last}`, warns: false };
  }
  const sleeps = device.presence !== 'online' && (device.deepSleep || wake !== null);
  const far = wake?.next == null || wake.next - now > FAR_MS;
  return sleeps && far ? { text: texts.home.wakeByHand, warns: false } : null;
}

/** The sooner it is expected, the higher it stands; what nothing is known of comes last. */
export function soonest(a: DeviceView, b: DeviceView): number {
  return rank(a) - rank(b);
}

const UNKNOWN = Number.MAX_SAFE_INTEGER;

function rank({ presence, wake, deepSleep }: DeviceView): number {
  if (presence === 'online') return 0;
  if (wake?.next != null) return wake.next;
  if (wake?.rhythm === 'irregular') return UNKNOWN - 2;
  return deepSleep || presence === 'asleep' ? UNKNOWN - 1 : UNKNOWN;
}
