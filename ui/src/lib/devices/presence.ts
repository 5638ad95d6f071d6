/** A device's presence in words. */
import type { DeviceView, Presence, WakeView } from '../backend';
import { texts } from '../i18n/index.svelte';
import { assertNever } from '../shared/assert';
import { ago, span, wakesIn } from '../shared/time';

export interface PresenceWords {
  title: string;
  detail: string;
  /** It should have woken by now. */
  overdue: boolean;
}

/** How presence is drawn: a device without configuration has a shape of its own. */
export type Shape = Presence | 'discovered';

/** Configured, and nobody knows what runs on it: it was never heard. */
export function isUnseen(device: DeviceView): boolean {
  const silent = device.lastSeen === null && device.deployedVersion === null;
  return silent && device.file !== null && device.problem === null;
}

/** Configured and heard of, but it hasn't said which firmware it runs. */
export function isUntold(device: DeviceView): boolean {
  const silent = device.lastSeen !== null && device.deployedVersion === null;
  return silent && device.file !== null && device.problem === null;
}

/** Whether something can be done with it and others at once. */
export function isChoosable(device: DeviceView): boolean {
  return device.file !== null;
}

/** It should have woken by now, and isn't there. */
export function isOverdue(device: DeviceView): boolean {
  return device.presence !== 'online' && (device.wake?.overdue ?? false);
}

export function shapeOf(device: DeviceView): Shape {
  return device.file === null ? 'discovered' : device.presence;
}

/** "next wake in ~12 min"; `null`: nothing is known. */
export function wakeWords(wake: WakeView | null, now: number): string | null {
  if (wake?.next == null) return null;
  if (wake.overdue) return texts.presence.overdue(span(now - wake.next));
  return texts.presence.nextWake(wakesIn(wake.next, wake, now));
}

function asleepDetail(device: DeviceView, seen: string, now: number, paused: boolean): string {
  const { lastSeen } = device;
  // Its next wake is missed: it isn't promised.
  if (paused && device.update?.state.kind === 'waiting') return seen || texts.presence.neverSeen;
  const words = wakeWords(device.wake, now);
  if (words) return words;
  if (device.wake?.rhythm === 'irregular' && lastSeen !== null) {
    return texts.presence.irregular(ago(lastSeen, now));
  }
  return seen || texts.presence.neverSeen;
}

export function presenceWords(device: DeviceView, now: number, paused = false): PresenceWords {
  const { lastSeen } = device;
  const seen = lastSeen === null ? '' : texts.presence.seen(ago(lastSeen, now));
  const address = device.addresses[0] ?? device.userAddress ?? '';
  const overdue = isOverdue(device);
  switch (device.presence) {
    case 'online':
      return { title: texts.presence.online, detail: address, overdue };
    case 'asleep':
      return {
        title: texts.presence.asleep,
        detail: asleepDetail(device, seen, now, paused),
        overdue,
      };
    case 'offline':
      return lastSeen === null
        ? { title: texts.presence.offline, detail: texts.presence.neverSeen, overdue }
        : { title: texts.presence.offlineFor(span(now - lastSeen)), detail: address, overdue };
    case 'unknown':
      return {
        title: lastSeen === null ? texts.presence.unseen : texts.presence.unknown,
        detail: seen || (device.deepSleep ? texts.presence.sleeps : ''),
        overdue,
      };
    default:
      return assertNever(device.presence);
  }
}

/** Presence in one line: "Asleep, next wake in ~12 min". */
export function presenceLine(device: DeviceView, now: number, paused = false): string {
  const { title, detail } = presenceWords(device, now, paused);
  return device.presence === 'asleep' && detail ? `${title}, ${detail}` : title;
}
