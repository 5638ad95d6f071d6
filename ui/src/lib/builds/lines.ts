/** Which lines of a log are drawn. Pure arithmetic. */

/** Drawing thousands of lines at once would be felt. */
export const DRAWN = 200;
/** So many of them are left above and below what is seen. */
const MARGIN = 50;
/** The height of a line that fits into one row, in `em`: as in log.css. */
export const LINE_EM = 1.55;

/**
 * Which line is at a height of the whole log. Of those that are drawn, the first of which is `start`, it is known how
 * high they are; the others are taken for one row.
 */
export function lineAt(
  y: number,
  tops: readonly number[],
  start: number,
  rowHeight: number,
): number {
  const first = tops[0] ?? 0;
  const last = tops.at(-1) ?? 0;
  if (y < first) return start - Math.ceil((first - y) / rowHeight);
  if (y >= last) return start + Math.max(0, tops.length - 1) + Math.floor((y - last) / rowHeight);
  return start + tops.findLastIndex((top) => top <= y);
}

/** The first line to draw when these are seen: the same as before while they are far enough from both ends. */
export function windowAround(
  [top, bottom]: readonly [number, number],
  start: number,
  first: number,
  end: number,
): number {
  const before = start > first && top - start < MARGIN;
  const after = start + DRAWN < end && start + DRAWN - bottom < MARGIN;
  if (!before && !after) return start;
  const middle = Math.round((top + bottom - DRAWN) / 2);
  return Math.max(first, Math.min(middle, end - DRAWN));
}
