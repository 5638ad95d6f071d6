/** Which rows of a long list are on the screen. Pure arithmetic. */
interface Slice {
  start: number;
  end: number;
}

/** Offsets of items of different heights; the last entry is the total height. */
export function offsets(heights: readonly number[]): number[] {
  const result = [0];
  let sum = 0;
  for (const height of heights) result.push((sum += height));
  return result;
}

/** The items that touch the view, and `overscan` pixels before and after it. */
export function visible(
  offsets: readonly number[],
  top: number,
  height: number,
  overscan: number,
): Slice {
  const count = offsets.length - 1;
  return {
    start: Math.max(0, Math.min(firstAfter(offsets, top - overscan) - 1, count)),
    end: Math.min(count, firstAfter(offsets, top + height + overscan)),
  };
}

/** The index of the first offset greater than `position`. */
function firstAfter(offsets: readonly number[], position: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((offsets[middle] ?? Infinity) > position) high = middle;
    else low = middle + 1;
  }
  return low;
}
