/** What is drawn of a list within one frame: some rows more than a window has room for. */
const STEP = 30;

/**
 * A long list that is drawn whole, some rows in each frame: all of them at once would hold up the page for longer than
 * somebody's key may wait. For use while a component is set up.
 */
export function gradually<T>(all: () => readonly T[]): { readonly shown: readonly T[] } {
  let limit = $state(STEP);
  $effect(() => {
    if (limit >= all().length) return;
    const frame = requestAnimationFrame(() => (limit += STEP));
    return () => cancelAnimationFrame(frame);
  });
  return {
    get shown() {
      return all().slice(0, limit);
    },
  };
}
