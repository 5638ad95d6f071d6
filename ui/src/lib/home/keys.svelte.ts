/** The keys that move between the lines of a page. */
import { isDrawers, stepOf } from '../devices/steps';
import { getApp } from '../shared/app.svelte';
import { keepFocus } from '../shared/focus.svelte';
import { isTyping } from '../shared/leave';
import { lineOf, type Roving } from './roving.svelte';

const PAGE_LINES = 10;

/** For use while a component is set up. */
export function moveBetweenLines(roving: Roving, page: () => HTMLElement | null): void {
  const app = getApp();

  function onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || app.dialogs.covered || isTyping(event.target)) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (isDrawers(event.target, app.drawer !== undefined)) return;
    const { keys } = roving;
    const here = keys.indexOf(lineOf(event.target) ?? '');
    const step = stepOf(event.key, here, keys.length, PAGE_LINES);
    // From anywhere else the arrow down leads into the lines, as on the other pages.
    const entered = event.key === 'ArrowDown' ? roving.reachable : undefined;
    const next = here < 0 ? entered : keys[step ?? -1];
    if (next === undefined) return;
    event.preventDefault();
    const line = page()?.querySelector(`[data-key="${CSS.escape(next)}"]`);
    line?.querySelector<HTMLElement>('[data-testid=line-open]')?.focus({ preventScroll: true });
    line?.scrollIntoView({ block: 'nearest' });
  }

  function onFocus({ target }: FocusEvent): void {
    roving.active = lineOf(target) ?? roving.active;
  }

  $effect(() => {
    const part = page();
    addEventListener('keydown', onKey);
    part?.addEventListener('focusin', onFocus);
    return () => {
      removeEventListener('keydown', onKey);
      part?.removeEventListener('focusin', onFocus);
    };
  });
  // A line that moves loses the focus; one that is done takes it along.
  keepFocus(
    page,
    () => roving.keys,
    () => page()?.focus(),
  );
}
