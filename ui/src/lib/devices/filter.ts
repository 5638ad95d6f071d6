/** Which devices the list shows, and in which order. */
import type { DeviceId, DeviceView, Presence, StateKind } from '../backend';
import { assertNever } from '../shared/assert';
import { groupOf, isAvailable } from '../updates/groups';
import { displayName } from '../updates/words';
import { refusalOf } from '../updates/refusal';
import { isUnseen, isUntold } from './presence';
import { byArea, grouped, has, type Grouping, type Tag } from './tags';

export const FILTERS = [
  'waiting',
  'working',
  'attention',
  'available',
  'asleep',
  'offline',
  'discovered',
  'unseen',
  'untold',
] as const;
export type Filter = (typeof FILTERS)[number];

export const SORTS = ['name', 'area', 'wake', 'update', 'version'] as const;
export type Sort = (typeof SORTS)[number];

/** What can be left out of the list. */
export const COLUMNS = ['presence', 'firmware', 'area'] as const;
export type Column = (typeof COLUMNS)[number];

function passes(device: DeviceView, filter: Filter): boolean {
  switch (filter) {
    case 'attention':
    case 'waiting':
    case 'working':
      return groupOf(device) === filter;
    case 'available':
      return isAvailable(device);
    case 'asleep':
    case 'offline':
      return device.file !== null && device.presence === filter;
    case 'discovered':
      return device.file === null;
    case 'unseen':
      return isUnseen(device);
    case 'untold':
      return isUntold(device);
    default:
      return assertNever(filter);
  }
}

export function countAll(devices: readonly DeviceView[]): Record<Filter, number> {
  const counts = Object.fromEntries(FILTERS.map((filter) => [filter, 0])) as Record<Filter, number>;
  for (const device of devices) {
    for (const filter of FILTERS) if (passes(device, filter)) counts[filter] += 1;
  }
  return counts;
}

/** What is searched. A view never changes, so it is put together once. */
const searchable = new WeakMap<DeviceView, string>();

function searchText(device: DeviceView): string {
  let text = searchable.get(device);
  if (text === undefined) {
    const { name, file, mac, addresses, area, labels, userAddress, platform } = device;
    const versions = [device.deployedVersion, device.update?.wantedVersion];
    const parts = [displayName(device), name, file, mac, userAddress, platform, area];
    parts.push(...labels, ...addresses);
    parts.push(...versions.map((version) => version ?? null));
    text = parts.filter(Boolean).join('\n').toLocaleLowerCase();
    searchable.set(device, text);
  }
  return text;
}

/** Whether every word of the query occurs in something that names the device. */
export function matches(device: DeviceView, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = searchText(device);
  return words.every((word) => text.includes(word));
}

export function queryWords(query: string): string[] {
  return query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
}

const PRESENCES: readonly Presence[] = ['online', 'asleep', 'offline', 'unknown'];
/** What needs eyes first comes first. */
const STATES: readonly (StateKind | undefined)[] = [
  'held',
  'failed',
  'flashing',
  'confirming',
  'building',
  'queued',
  'waiting',
  'installed',
  'cancelled',
  'superseded',
  undefined,
];

/** What isn't known comes last, whichever way it is sorted. */
const UNKNOWN = 1e15;

/** A number that sorts; equal ones stay in the order of their names. */
function sortKey(device: DeviceView, sort: Sort): number {
  switch (sort) {
    case 'name':
    case 'area':
      return 0;
    case 'wake': {
      if (device.presence === 'online') return 0;
      if (device.wake?.overdue) return 1;
      return device.wake?.next ?? UNKNOWN + PRESENCES.indexOf(device.presence);
    }
    case 'update':
      return STATES.indexOf(device.update?.state.kind) - (refusalOf(device) ? STATES.length : 0);
    case 'version': {
      if (device.deployedVersion === null) return UNKNOWN;
      const parts = device.deployedVersion.split(/[^0-9]+/).map(Number);
      return (parts[0] ?? 0) * 1e6 + (parts[1] ?? 0) * 1e3 + (parts[2] ?? 0);
    }
    default:
      return assertNever(sort);
  }
}

export function sorted(
  devices: readonly DeviceView[],
  sort: Sort,
  descending: boolean,
): readonly DeviceView[] {
  if (sort === 'name') return descending ? devices.toReversed() : devices;
  if (sort === 'area') return byArea(devices, descending);
  const keyed = devices.map((device) => ({ device, key: sortKey(device, sort) }));
  const order = (a: number, b: number) =>
    descending && a < UNKNOWN && b < UNKNOWN ? b - a : a - b;
  return keyed.sort((a, b) => order(a.key, b.key)).map(({ device }) => device);
}

/** What narrows the list down, and how it is laid out. */
export interface Arrangement {
  query: string;
  filter: Filter | null;
  tag?: Tag | null;
  sort?: Sort;
  descending?: boolean;
  group?: Grouping | null;
}

export type Item =
  | { kind: 'device'; key: string; device: DeviceView; position: number; count: number }
  /** What stands above some of them; `name: null`: above those that were only discovered. */
  | { kind: 'section'; key: string; name: string | null; ids: readonly DeviceId[] };

/** The list as it is drawn: the configured devices, then those that were only seen. */
export function itemsOf(devices: readonly DeviceView[], how: Arrangement): Item[] {
  const { query, filter, tag = null, sort = 'name', descending = false, group = null } = how;
  const words = queryWords(query);
  const shown = sorted(
    devices.filter(
      (device) =>
        (filter === null || passes(device, filter)) &&
        (tag === null || has(device, tag)) &&
        matches(device, words),
    ),
    sort,
    descending,
  );
  const configured = shown.filter((device) => device.file !== null);
  const discovered = shown.filter((device) => device.file === null);
  const items: Item[] = [];
  let position = 0;
  const rows = (some: readonly DeviceView[]): Item[] =>
    some.map((device) => {
      position += 1;
      return { kind: 'device', key: device.id, device, position, count: shown.length };
    });
  if (group === null) items.push(...rows(configured));
  else {
    for (const [name, part] of grouped(configured, group)) {
      const ids = part.map(({ id }) => id);
      items.push({ kind: 'section', key: `/group/${name}`, name, ids }, ...rows(part));
    }
  }
  if (discovered.length > 0) {
    // A file name can't contain a slash, so this is nobody's id.
    items.push({ kind: 'section', key: '/discovered', name: null, ids: [] }, ...rows(discovered));
  }
  return items;
}
