/** A device's presence in words. */
import type { DeviceView, Presence } from '../backend';
import { assertNever } from '../shared/assert';
import { texts } from '../shared/texts';
import { ago, span } from '../shared/time';

export interface PresenceWords {
  title: string;
  detail: string;
}

/** How presence is drawn: a device without configuration has a shape of its own. */
export type Shape = Presence | 'discovered';

export function shapeOf(device: DeviceView): Shape {
  return device.file === null ? 'discovered' : device.presence;
}

export function presenceWords(device: DeviceView, now: number): PresenceWords {
  const { lastSeen } = device;
  const seen = lastSeen === null ? '' : texts.presence.seen(ago(lastSeen, now));
  switch (device.presence) {
    case 'online':
      return { title: texts.presence.online, detail: device.addresses[0] ?? '' };
    case 'asleep':
      return { title: texts.presence.asleep, detail: seen };
    case 'offline':
      return lastSeen === null
        ? { title: texts.presence.offline, detail: texts.presence.neverSeen }
        : {
            title: texts.presence.offlineFor(span(now - lastSeen)),
            detail: device.addresses[0] ?? '',
          };
    case 'unknown':
      return { title: texts.presence.unknown, detail: seen || texts.presence.neverSeen };
    default:
      return assertNever(device.presence);
  }
}

/** Presence in one line: "Asleep, seen 12 min ago". */
export function presenceLine(device: DeviceView, now: number): string {
  const { title, detail } = presenceWords(device, now);
  return device.presence === 'asleep' && detail ? `${title}, ${detail}` : title;
}
