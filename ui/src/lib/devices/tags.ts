/** What devices are together by: the area of their configuration, and the labels that the user gave them. */
import type { DeviceView } from '../backend';

export const GROUPINGS = ['area', 'labels'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** Those of one area, or with one label. `name: null`: those without. */
export interface Tag {
  kind: Grouping;
  name: string | null;
}

export interface Counted {
  name: string | null;
  count: number;
}

const inOrder = (a: string, b: string) => a.localeCompare(b, undefined, { numeric: true });

export function has(device: DeviceView, { kind, name }: Tag): boolean {
  // What was only discovered has no configuration that could say it.
  if (name === null) return device.file !== null && namesOf(device, kind).length === 0;
  return namesOf(device, kind).includes(name);
}

function namesOf(device: DeviceView, kind: Grouping): readonly string[] {
  if (kind === 'labels') return device.labels;
  return device.area === null ? [] : [device.area];
}

/** Every area or label that there is, in the order of their names, and how many have none; empty: there is none. */
export function tagsOf(devices: readonly DeviceView[], kind: Grouping): Counted[] {
  const counts = new Map<string | null, number>();
  const add = (name: string | null) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const device of devices) {
    for (const name of namesOf(device, kind)) add(name);
    if (has(device, { kind, name: null })) add(null);
  }
  const names = [...counts.keys()].filter((name) => name !== null).sort(inOrder);
  if (names.length === 0) return [];
  const all = counts.has(null) ? [...names, null] : names;
  return all.map((name) => ({ name, count: counts.get(name) ?? 0 }));
}

/** In which part of a grouped list a device stands: one with several labels in that of all of them. */
function groupOf(device: DeviceView, by: Grouping): string {
  return namesOf(device, by).join(', ');
}

/** The parts of a list in the order of their names, those without one last; what was sorted stays so in each. */
export function grouped(
  devices: readonly DeviceView[],
  by: Grouping,
): [name: string, devices: DeviceView[]][] {
  const parts = new Map<string, DeviceView[]>();
  for (const device of devices) {
    const name = groupOf(device, by);
    const part = parts.get(name);
    if (part) part.push(device);
    else parts.set(name, [device]);
  }
  return [...parts].sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : inOrder(a, b)));
}

/** In the order of their areas; those without one come last, whichever way. */
export function byArea(devices: readonly DeviceView[], descending: boolean): DeviceView[] {
  const parts = grouped(devices, 'area');
  const none = parts.filter(([name]) => name === '');
  const some = parts.filter(([name]) => name !== '');
  return [...(descending ? some.reverse() : some), ...none].flatMap(([, part]) => part);
}

/** As it is kept and chosen: "area/Garden"; "labels/" is for those without one. */
export function keyOf({ kind, name }: Tag): string {
  return `${kind}/${name ?? ''}`;
}

export function tagOfKey(key: unknown): Tag | null {
  if (typeof key !== 'string') return null;
  const kind = GROUPINGS.find((one) => key.startsWith(`${one}/`));
  if (kind === undefined) return null;
  const name = key.slice(kind.length + 1);
  return { kind, name: name === '' ? null : name };
}
