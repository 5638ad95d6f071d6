/** What a click on an action does: asks where it is unsafe, sends the command, and says what went wrong. */
import type { Action, DeviceView } from '../backend';
import type { App } from '../shared/app.svelte';
import { assertNever } from '../shared/assert';
import { texts } from '../shared/texts';
import { changeWords, displayName } from './words';

export async function perform(app: App, device: DeviceView, action: Action): Promise<void> {
  switch (action) {
    case 'install':
      return app.report(app.backend.install(device.id));
    case 'retry':
      return app.report(app.backend.retry(device.id));
    case 'rebuild':
      return app.report(app.backend.rebuild(device.id));
    case 'cancel':
      if (await mayCancel(app, device)) await app.report(app.backend.cancel(device.id));
      return;
    case 'flashAnyway':
      if (await mayFlashAnyway(app, device)) await app.report(app.backend.flashAnyway(device.id));
      return;
    case 'none':
      return;
    default:
      assertNever(action);
  }
}

async function mayCancel(app: App, device: DeviceView): Promise<boolean> {
  const kind = device.update?.state.kind;
  if (kind !== 'flashing' && kind !== 'confirming') return true;
  const words = kind === 'flashing' ? texts.confirm.cancelFlash : texts.confirm.cancelConfirm;
  const answer = await app.dialogs.ask({
    title: words.title,
    body: words.body(displayName(device)),
    yes: words.yes,
    no: words.no,
  });
  return answer === 'yes';
}

async function mayFlashAnyway(app: App, device: DeviceView): Promise<boolean> {
  const state = device.update?.state;
  const what = state?.kind === 'held' ? changeWords(state.changes) : texts.update.filesChanged(0);
  const words = texts.confirm.flashAnyway;
  const answer = await app.dialogs.ask({
    title: words.title,
    body: words.body(displayName(device), what),
    yes: words.yes,
    no: words.no,
  });
  return answer === 'yes';
}
