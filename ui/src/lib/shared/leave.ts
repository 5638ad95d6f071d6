/** Leaving: closing the window, quitting; and the keys that work everywhere. */
import { texts } from '../i18n/index.svelte';
import type { App } from './app.svelte';
import { assertNever } from './assert';

/**
 * Quitting cuts running transfers short, so it asks once when there are any. A window that was made for this
 * question knows of no devices yet: it is told how many transfers there are.
 */
export async function quit(app: App, told = 0): Promise<void> {
  const seen = app.store.devices.filter((device) => device.update?.state.kind === 'flashing');
  const running = Math.max(told, seen.length);
  if (running > 0) {
    const t = texts.confirm.quit;
    const question = { title: t.title, body: t.body(running), yes: t.yes, no: t.no };
    if ((await app.dialogs.ask(question)) !== 'yes') return app.report(app.backend.stay());
  }
  await app.report(app.backend.quit());
}

/** The window is closed where it couldn't be opened again with a click. */
export async function askToClose(app: App): Promise<void> {
  const counts = app.store.status?.counts;
  const waiting = (counts?.waiting ?? 0) + (counts?.working ?? 0);
  const t = texts.confirm.close;
  const reply = await app.dialogs.ask({
    title: t.title,
    body: waiting > 0 ? t.waiting(waiting) : t.idle,
    yes: t.yes,
    no: t.no,
    other: t.background,
  });
  switch (reply) {
    case 'yes':
      return app.report(app.backend.quit());
    case 'other':
      return app.report(app.backend.closeWindow());
    case 'no':
      return;
    default:
      assertNever(reply);
  }
}

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest('input:not([type=checkbox]):not([type=radio]), textarea, select') !== null
  );
}

export function onKey(app: App, event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey) return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (command && key === 'q') {
    event.preventDefault();
    void quit(app);
  }
  if (app.store.status === null || app.store.status.configDir.kind === 'unset') return;
  if (command && key === 'k') {
    event.preventDefault();
    if (app.dialogs.open?.kind === 'palette') app.dialogs.close();
    else if (!app.dialogs.covered) app.dialogs.show({ kind: 'palette' });
  } else if (app.dialogs.covered) return;
  else if (command && key === ',') {
    event.preventDefault();
    app.openSettings();
  } else if (!command && key === '?' && !isTyping(event.target)) {
    event.preventDefault();
    app.dialogs.show({ kind: 'keys' });
  }
}
