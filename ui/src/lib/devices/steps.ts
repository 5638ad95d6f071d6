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
