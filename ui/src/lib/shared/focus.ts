/** What had the focus can vanish: a bar that closes, a row that is done. The keyboard must not begin at the top then. */
import { tick } from 'svelte';

/** Calls `put` when nothing has the focus once the page is drawn and whatever closed has given the focus back. */
export async function whenFocusIsLost(put: () => void): Promise<void> {
  await tick();
  await new Promise((done) => setTimeout(done));
  if (document.activeElement === null || document.activeElement === document.body) put();
}
