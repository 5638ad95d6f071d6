/** Which devices the list shows, and in which order. */
import type { DeviceView, Presence, StateKind } from '../backend';
import { assertNever } from '../shared/assert';
import { groupOf, isAvailable } from '../updates/groups';
import { displayName } from '../updates/words';
import { refusalOf } from '../updates/refusal';
import { isUnseen, isUntold } from './presence';

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

export const SORTS = ['name', 'wake', 'update', 'version'] as const;
export type Sort = (typeof SORTS)[number];

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
    const { name, file, mac, addresses, userAddress, platform, deployedVersion } = device;
    const versions = [deployedVersion, device.update?.wantedVersion];
    const parts = [displayName(device), name, file, mac, userAddress, platform, ...addresses];
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
  const keyed = devices.map((device) => ({ device, key: sortKey(device, sort) }));
  const order = (a: number, b: number) =>
    descending && a < UNKNOWN && b < UNKNOWN ? b - a : a - b;
  return keyed.sort((a, b) => order(a.key, b.key)).map(({ device }) => device);
}

export type Item =
  | { kind: 'device'; key: string; device: DeviceView; position: number; count: number }
  | { kind: 'section'; key: string };

/** The list as it is drawn: the configured devices, then those that were only seen. */
export function itemsOf(
  devices: readonly DeviceView[],
  query: string,
  filter: Filter | null,
  sort: Sort = 'name',
  descending = false,
): Item[] {
  const words = queryWords(query);
  const shown = sorted(
    devices.filter(
      (device) => (filter === null || passes(device, filter)) && matches(device, words),
    ),
    sort,
    descending,
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
