/** What a click on an action does: asks where it is unsafe, sends the command, and says what went wrong. */
import type { Action, Answer, DeviceId, DeviceView, Refusal } from '../backend';
import type { App } from '../shared/app.svelte';
import { assertNever } from '../shared/assert';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
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
    case 'dismiss':
      return app.report(app.backend.dismiss(device.id));
    case 'none':
      return;
    default:
      assertNever(action);
  }
}

/** Ends some updates: asks once, for all of them. */
export async function cancelMany(app: App, devices: readonly DeviceView[]): Promise<void> {
  if (devices.length === 0) return;
  const t = texts.confirm.cancelMany;
  const running = devices.filter(({ update }) => update?.state.kind === 'flashing').length;
  const body = running > 0 ? `${t.running(running)} ${t.body}` : t.body;
  const question = { title: t.title(devices.length), body, yes: t.yes, no: t.no };
  if ((await app.dialogs.ask(question)) !== 'yes') return;
  await reportRefusals(app, app.backend.cancelMany(devices.map(({ id }) => id)));
}

/** Starts updates, and says which ones were refused. */
export async function installMany(app: App, ids: DeviceId[]): Promise<void> {
  await reportRefusals(app, app.backend.installMany(ids));
}

async function reportRefusals(app: App, pending: Promise<Answer<Refusal[]>>): Promise<void> {
  const answer = await pending;
  if (answer.status === 'error') {
    app.show(answer.error);
    return;
  }
  for (const { device: id, problem } of answer.data) {
    const device = app.store.devices.find((one) => one.id === id);
    const name = device ? displayName(device) : id;
    const { message, help } = say(problem);
    app.show({ code: problem.code, message: texts.plan.refusedAfter(name, message), help });
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
