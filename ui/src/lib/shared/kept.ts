/** Where the user was in the list: the window's page ends when it is closed, and begins anew when it is opened. */
import { FILTERS, SORTS, type Filter, type Sort } from '../devices/filter';

export interface Kept {
  page: 'devices' | 'waiting';
  filter: Filter | null;
  sort: Sort;
  descending: boolean;
}

const KEY = 'wakeflash.view';
const PAGES = ['devices', 'waiting'] as const;

/** What was kept, as far as it still means something. */
export function readKept(): Kept {
  let kept: Record<string, unknown> = {};
  try {
    kept = Object(JSON.parse(localStorage.getItem(KEY) ?? '{}'));
  } catch {
    // There is no storage, or somebody else wrote it.
  }
  return {
    page: PAGES.find((page) => page === kept.page) ?? 'devices',
    filter: FILTERS.find((filter) => filter === kept.filter) ?? null,
    sort: SORTS.find((sort) => sort === kept.sort) ?? 'name',
    descending: kept.descending === true,
  };
}

export function keep(kept: Kept): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // The next window begins as the first did.
  }
}
