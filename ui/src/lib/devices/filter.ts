/** Which devices the list shows. */
import type { DeviceView } from '../backend';
import { displayName, groupOf, type Group } from '../updates/words';

/** Whether every word of the query occurs in something that names the device. */
export function matches(device: DeviceView, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = [
    displayName(device),
    device.name,
    device.file ?? '',
    device.mac ?? '',
    ...device.addresses,
  ]
    .join('\n')
    .toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}

export function queryWords(query: string): string[] {
  return query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
}

export type Item =
  | { kind: 'device'; key: string; device: DeviceView; position: number; count: number }
  | { kind: 'section'; key: string };

/** The list as it is drawn: the configured devices, then those that were only seen. */
export function itemsOf(
  devices: readonly DeviceView[],
  query: string,
  group: Group | null,
): Item[] {
  const words = queryWords(query);
  const shown = devices.filter(
    (device) => (group === null || groupOf(device) === group) && matches(device, words),
  );
  const configured = shown.filter((device) => device.file !== null);
  const discovered = shown.filter((device) => device.file === null);
  const count = shown.length;
  const rows = (some: DeviceView[], first: number): Item[] =>
    some.map((device, index) => ({
      kind: 'device',
      key: device.id,
      device,
      position: first + index,
      count,
    }));
  const items = rows(configured, 1);
  if (discovered.length > 0) {
    // A file name can't contain a slash, so this is nobody's id.
    items.push({ kind: 'section', key: '/discovered' }, ...rows(discovered, configured.length + 1));
  }
  return items;
}
