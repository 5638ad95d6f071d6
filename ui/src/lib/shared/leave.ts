/** Leaving: closing the window, quitting; and the keys that work everywhere. */
import { texts } from '../i18n/index.svelte';
import type { StateKind } from '../backend';
import type { App } from './app.svelte';
import { groupOf, tally } from '../updates/groups';
import { isActive } from '../updates/words';
import { assertNever } from './assert';

/** How many updates are in which part of their way. */
interface Underway {
  flashing: number;
  confirming: number;
  building: number;
  waiting: number;
  /** Those that can go on once the user has decided. */
  attention: number;
}

function underway(app: App): Underway {
  // What works elsewhere goes on.
  if (app.place) return { flashing: 0, confirming: 0, building: 0, waiting: 0, attention: 0 };
  const of = (...kinds: StateKind[]) =>
    app.store.devices.filter(({ update }) => update && kinds.includes(update.state.kind)).length;
  return {
    flashing: of('flashing'),
    confirming: of('confirming'),
    building: of('queued', 'building'),
    waiting: tally(app.store.devices).waiting,
    attention: app.store.devices.filter(
      (device) =>
        groupOf(device) === 'attention' && device.update && isActive(device.update.state.kind),
    ).length,
  };
}

function count({ flashing, confirming, building, waiting, attention }: Underway): number {
  return flashing + confirming + building + waiting + attention;
}

/** What quitting means for each of them, and for all. */
function consequences(app: App, now: Underway): string[] {
  const t = texts.confirm.leave;
  const kept = count(now) > 0 ? t.kept : '';
  return [
    now.flashing > 0 ? t.flashing(now.flashing) : '',
    now.confirming > 0 ? t.confirming(now.confirming) : '',
    now.building > 0 ? t.building(now.building) : '',
    now.waiting > 0 ? t.waiting(now.waiting) : '',
    now.attention > 0 ? t.attention(now.attention) : '',
    app.info?.demo ? t.demo : kept,
  ].filter(Boolean);
}

/**
 * Quitting cuts running transfers short, so it asks once when there are any. A window that was made for this
 * question knows of no devices yet: it is told how many transfers there are.
 */
export async function quit(app: App, told = 0): Promise<void> {
  // The answer is for both.
  if (app.dialogs.question?.about === 'quit') return;
  const now = () => {
    const seen = underway(app);
    return { ...seen, flashing: Math.max(told, seen.flashing) };
  };
  if (now().flashing > 0) {
    const t = texts.confirm.quit;
    const reply = await app.dialogs.ask(() => ({
      title: now().flashing > 0 ? t.title : texts.confirm.close.title,
      body: '',
      points: consequences(app, now()),
      yes: t.yes,
      no: t.no,
      about: 'quit',
    }));
    if (reply !== 'yes') return app.report(app.backend.ask({ cmd: 'stay' }));
  }
  await app.report(app.backend.ask({ cmd: 'shutdown' }));
}

/** The window is closed where it couldn't be opened again with a click. */
export async function askToClose(app: App): Promise<void> {
  // A second click on the frame's button asks nothing new, and takes no other question's place.
  if (app.dialogs.question?.about !== undefined) return;
  // Where nothing could open it again, it isn't closed behind the user's back.
  const reopens = app.info?.reopens ?? false;
  const reply = await app.dialogs.ask(() => {
    const t = texts.confirm.close;
    const now = underway(app);
    const means = consequences(app, now);
    return {
      title: t.title,
      body: means.length > 0 ? '' : t.idle,
      points: [...means, ...(reopens ? [t.background] : [])],
      yes: t.yes,
      no: t.no,
      ...(reopens ? { other: t.other } : {}),
      harmless: now.flashing === 0 && !app.info?.demo,
      about: 'close',
    };
  });
  switch (reply) {
    case 'yes':
      return app.report(app.backend.ask({ cmd: 'shutdown' }));
    case 'other':
      return app.report(app.backend.ask({ cmd: 'close_window' }));
    case 'no':
      return app.report(app.backend.ask({ cmd: 'stay' }));
    case 'replaced':
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
  } else if (isTyping(event.target)) return;
  else if (!command && key === '?') {
    event.preventDefault();
    app.dialogs.show({ kind: 'keys' });
  } else if (command && key === 'z' && app.undo) {
    event.preventDefault();
    app.takeBack();
  } else if (!command && app.drawer && (key === 'j' || key === 'k')) {
    event.preventDefault();
    app.step(key === 'j' ? 1 : -1);
  }
}
