/** Where the user was in the list: the window's page ends when it is closed, and begins anew when it is opened. */
import type { Theme } from '../backend';
import { COLUMNS, FILTERS, SORTS, type Column, type Filter, type Sort } from '../devices/filter';
import { GROUPINGS, keyOf, tagOfKey, type Grouping, type Tag } from '../devices/tags';

export interface Kept {
  page: 'home' | 'devices';
  filter: Filter | null;
  tag: Tag | null;
  group: Grouping | null;
  /** Columns that aren't shown. */
  without: readonly Column[];
  sort: Sort;
  descending: boolean;
}

const KEY = 'wakeflash.view';
const PAGES = ['home', 'devices'] as const;

const THEME = 'wakeflash.theme';

/** Draws in a theme from the next start on: what the settings say is known only when the application has answered. */
export function keepTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // The next window begins in the desktop's theme.
  }
}

/** Begins in the theme that the last window ended in. */
export function beginInKeptTheme(): void {
  try {
    document.documentElement.dataset.theme = localStorage.getItem(THEME) ?? 'system';
  } catch {
    // It is the desktop's.
  }
}

/** What was kept, as far as it still means something. */
export function readKept(): Kept {
  let kept: Record<string, unknown> = {};
  try {
    kept = Object(JSON.parse(localStorage.getItem(KEY) ?? '{}'));
  } catch {
    // There is no storage, or somebody else wrote it.
  }
  return {
    page: PAGES.find((page) => page === kept.page) ?? 'home',
    filter: FILTERS.find((filter) => filter === kept.filter) ?? null,
    tag: tagOfKey(kept.tag),
    group: GROUPINGS.find((group) => group === kept.group) ?? null,
    without: COLUMNS.filter(
      (column) => Array.isArray(kept.without) && kept.without.includes(column),
    ),
    sort: SORTS.find((sort) => sort === kept.sort) ?? 'name',
    descending: kept.descending === true,
  };
}

export function keep(kept: Kept): void {
  try {
    const tag = kept.tag && keyOf(kept.tag);
    localStorage.setItem(KEY, JSON.stringify({ ...kept, tag }));
  } catch {
    // The next window begins as the first did.
  }
}
