/** The device that an element belongs to the row of. */
export function rowOf(target: EventTarget | null): string | null {
  const row = target instanceof Element ? target.closest('[data-device]') : null;
  return row?.getAttribute('data-device') ?? null;
}

/** Whether a key is the open drawer's, whose texts scroll and are selected: it has the focus, or nothing has. */
export function isDrawers(target: EventTarget | null, open: boolean): boolean {
  if (target === document.body) return open;
  return target instanceof Element && target.closest('[data-testid=drawer]') !== null;
}

/** Where a key leads to in a list; `null`: it leads nowhere. */
export function stepOf(key: string, here: number, count: number, page: number): number | null {
  const to = (index: number) => Math.min(count - 1, Math.max(0, index));
  switch (key) {
    case 'ArrowDown':
      return to(here + 1);
    case 'ArrowUp':
      return to(here - 1);
    case 'PageDown':
      return to(here + page);
    case 'PageUp':
      return to(here - page);
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}
