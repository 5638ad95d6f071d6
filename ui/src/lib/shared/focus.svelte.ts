/** What had the focus can vanish: a bar that closes, a row that is done. The keyboard must not begin at the top then. */
import { tick } from 'svelte';

function isLost(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}

/** Calls `put` when nothing has the focus once the page is drawn and whatever closed has given the focus back. */
export async function whenFocusIsLost(put: () => void): Promise<void> {
  await tick();
  await new Promise((done) => setTimeout(done));
  if (isLost()) put();
}

/** Puts the focus on the page as a whole, or on the drawer that covers it. */
export function focusPage(): void {
  for (const one of document.querySelectorAll<HTMLElement>('main, #drawer-title')) {
    if (isLost()) one.focus({ preventScroll: true });
  }
}

/**
 * Calls `put` when something in `part` had the focus and a change of `seen` took it away. An element that was only moved
 * gets it back. For use while a component is set up.
 */
export function keepFocus(
  part: () => HTMLElement | null,
  seen: () => unknown,
  put: () => void,
): void {
  let had: HTMLElement | null = null;
  $effect.pre(() => {
    seen();
    const { activeElement } = document;
    const inside = activeElement instanceof HTMLElement && part()?.contains(activeElement);
    had = inside ? activeElement : null;
  });
  $effect(() => {
    seen();
    if (had?.isConnected && isLost()) had.focus({ preventScroll: true });
    else if (had) void whenFocusIsLost(put);
  });
}
