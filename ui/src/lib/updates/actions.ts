/** What a click on an action does: asks where it is unsafe, sends the command, and says what went wrong. */
import type { Action, Answer, DeviceId, DeviceView, Refusal } from '../backend';
import { failure, type App, type RefusedDevice } from '../shared/app.svelte';
import type { Question } from '../shared/dialogs.svelte';
import { assertNever } from '../shared/assert';
import { texts } from '../i18n/index.svelte';
import { changeWords, displayName, isActive } from './words';

/** Nothing is done that isn't offered any more: a menu may have been open for a while. */
export async function perform(app: App, { id }: DeviceView, action: Action): Promise<void> {
  const device = app.store.devices.find((one) => one.id === id);
  if (!device || ![device.primary, ...device.secondary].includes(action)) return;
  switch (action) {
    case 'install':
      return app.report(app.backend.ask({ cmd: 'install', device: device.id }));
    case 'retry':
      return app.report(app.backend.ask({ cmd: 'retry', device: device.id }));
    case 'cleanAndRetry':
    case 'resetAndRetry':
      return app.report(app.backend.ask({ cmd: 'retry_clean', device: device.id }));
    case 'rebuild':
      return app.report(app.backend.ask({ cmd: 'rebuild', device: device.id }));
    case 'cancel':
      return cancel(app, device);
    case 'flashAnyway':
      if (await mayFlashAnyway(app, device))
        await app.report(app.backend.ask({ cmd: 'flash_anyway', device: device.id }));
      return;
    case 'dismiss':
      return app.report(app.backend.ask({ cmd: 'dismiss', device: device.id }));
    case 'none':
      return;
    default:
      assertNever(action);
  }
}

/** Cleans the build files of a device of which nothing is being built. */
export async function cleanBuild(app: App, device: DeviceView): Promise<void> {
  const name = displayName(device);
  app.tell(texts.app.cleaning(name));
  const problem = await failure(app.backend.ask({ cmd: 'clean_build', device: device.id }));
  if (problem) app.show(problem);
  else app.tell(texts.app.cleaned(name));
}

/** Whether there is an image that was built for it. */
export function isBuilt({ update }: DeviceView): boolean {
  return update !== null && (update.wantedHash !== null || update.wantedVersion !== null);
}

/** Lets the user save a copy of it. */
export async function saveImage(app: App, { id }: DeviceView): Promise<void> {
  const answer = await app.backend.ask({ cmd: 'save_image', device: id });
  if (answer.status === 'error') app.show(answer.error);
  else if (answer.data !== null) app.tell(texts.app.imageSaved(answer.data));
}

/** Has ESPHome say what is wrong with a configuration, without building it. */
export async function validate(app: App, device: DeviceView): Promise<void> {
  const name = displayName(device);
  app.tellOn(texts.app.validating(name));
  const answer = await app.backend.ask({ cmd: 'validate', device: device.id });
  // It was asked once more meanwhile: that question's answer counts.
  if (answer.status === 'error' && answer.error.code === 'config.asked_anew') return;
  if (answer.status === 'ok' && answer.data.kind === 'valid') {
    app.tell(texts.app.valid(name));
    return;
  }
  app.tellOn('');
  if (answer.status === 'error') app.show(answer.error);
  else if (answer.data.kind === 'invalid') {
    const remedy = openFile(app, device, answer.data.file);
    app.show(answer.data.problem, [], { title: texts.app.invalid(name), remedy });
  }
}

/** Opens the file that ESPHome named, where that is one that can be opened; else the device's own. */
function openFile(app: App, device: DeviceView, file: string | null) {
  const dir = app.store.status?.configDir;
  const other = file !== null && file !== device.file && /^[^/].*\.ya?ml$/.test(file);
  const request =
    other && dir && 'path' in dir
      ? ({ cmd: 'open_path', path: `${dir.path}/${file}` } as const)
      : ({ cmd: 'open_yaml', device: device.id } as const);
  const named = request.cmd === 'open_path' ? file : device.file;
  const run = () => void app.report(app.backend.ask(request));
  return { label: texts.app.openFile(named ?? device.id), run };
}

async function cancel(app: App, device: DeviceView): Promise<void> {
  if (!(await mayCancel(app, device))) return;
  const undoable = canComeBack(app, [device]);
  const problem = await failure(app.backend.ask({ cmd: 'cancel', device: device.id }));
  if (problem) app.show(problem);
  else offerUndo(app, undoable);
}

/** Those whose update goes on where it was when its Cancel is taken back: nothing of it was sent. */
function canComeBack(app: App, devices: readonly DeviceView[]): DeviceView[] {
  return notOver(app, devices).filter(({ update }) => {
    const kind = update?.state.kind;
    return kind !== 'flashing' && kind !== 'confirming';
  });
}

function offerUndo(app: App, cancelled: readonly DeviceView[]): void {
  const [first] = cancelled;
  if (!first) return;
  const t = texts.app;
  const text =
    cancelled.length > 1 ? t.cancelledMany(cancelled.length) : t.cancelled(displayName(first));
  const ids = cancelled.map(({ id }) => id);
  app.offerUndo(
    text,
    () => void reportRefusals(app, app.backend.ask({ cmd: 'undo_cancel', devices: ids })),
  );
}

/** Ends some updates: asks once, for all of them that aren't over when it is answered. */
export async function cancelMany(app: App, devices: readonly DeviceView[]): Promise<void> {
  if (devices.length === 0) return;
  const left = () => notOver(app, devices);
  const question = () => cancelManyQuestion(left());
  if (!(await agreed(app, question, texts.confirm.cancelMany.over))) return;
  const undoable = canComeBack(app, left());
  const refused = await reportRefusals(
    app,
    app.backend.ask({ cmd: 'cancel_many', devices: left().map(({ id }) => id) }),
  );
  offerUndo(
    app,
    undoable.filter(({ id }) => !refused.has(id)),
  );
}

function cancelManyQuestion(devices: readonly DeviceView[]): Question | null {
  if (devices.length === 0) return null;
  const t = texts.confirm.cancelMany;
  const cut = devices.filter(({ update }) => update?.state.kind === 'flashing').length;
  const sent = devices.filter(mayRunIt).length;
  const rest = devices.length - cut - sent;
  const points = [
    cut > 0 ? t.cut(cut) : '',
    sent > 0 ? t.sent(sent) : '',
    rest === devices.length ? t.all : rest > 0 ? t.rest(rest) : '',
  ].filter(Boolean);
  return { title: t.title(devices.length), body: '', points, yes: t.yes, no: t.no };
}

/** Starts updates, and says which ones were refused. */
export async function installMany(app: App, ids: DeviceId[]): Promise<void> {
  await reportRefusals(app, app.backend.ask({ cmd: 'install_many', devices: ids }));
}

/** Says what was refused: each cause once, with all of its devices. */
async function reportRefusals(
  app: App,
  pending: Promise<Answer<Refusal[]>>,
): Promise<ReadonlySet<DeviceId>> {
  const answer = await pending;
  if (answer.status === 'error') {
    app.show(answer.error);
    return new Set(app.store.devices.map(({ id }) => id));
  }
  const names = new Map(app.store.devices.map((device) => [device.id, displayName(device)]));
  const causes = new Map<string, RefusedDevice[]>();
  for (const { device, problem } of answer.data) {
    const refused = causes.get(problem.code) ?? [];
    refused.push({ name: names.get(device) ?? device, problem });
    causes.set(problem.code, refused);
  }
  for (const refused of causes.values()) {
    if (refused[0]) app.show(refused[0].problem, refused);
  }
  return new Set(answer.data.map(({ device }) => device));
}

/** Those of the devices whose update is the one that they were asked about, and isn't over; as they are now. */
function notOver(app: App, devices: readonly DeviceView[]): DeviceView[] {
  const asked = new Map(devices.map(({ id, update }) => [id, update?.id]));
  return app.store.devices.filter(
    ({ id, update }) => update && asked.get(id) === update.id && isActive(update.state.kind),
  );
}

/** Whether the answer is yes, and there still is something to agree to; says so when there isn't. */
async function agreed(app: App, question: () => Question | null, over: string): Promise<boolean> {
  const reply = await app.dialogs.ask(question);
  if (question() !== null) return reply === 'yes';
  app.tell(over);
  return false;
}

/** Whether the whole image may have reached the device, which nobody sends to just now. */
function mayRunIt({ update }: DeviceView): boolean {
  const state = update?.state;
  if (state?.kind === 'waiting' || state?.kind === 'held') return state.mayHaveArrived;
  return state?.kind === 'confirming';
}

async function mayCancel(app: App, device: DeviceView): Promise<boolean> {
  const kind = device.update?.state.kind;
  if (kind !== 'flashing' && kind !== 'confirming') return true;
  const name = displayName(device);
  const question = () => {
    const [now] = notOver(app, [device]);
    return now ? cancelQuestion(now) : null;
  };
  return agreed(app, question, texts.confirm.cancelOver(name));
}

function cancelQuestion(device: DeviceView): Question {
  const t = texts.confirm;
  const kind = device.update?.state.kind;
  const words =
    kind === 'flashing' ? t.cancelFlash : mayRunIt(device) ? t.cancelConfirm : t.cancelWaiting;
  return { ...words, body: words.body(displayName(device)) };
}

async function mayFlashAnyway(app: App, device: DeviceView): Promise<boolean> {
  const name = displayName(device);
  const question = () => {
    const words = texts.confirm.flashAnyway;
    const state = notOver(app, [device])[0]?.update?.state;
    if (state?.kind !== 'held') return null;
    return { ...words, body: words.body(name, changeWords(state.changes)) };
  };
  return agreed(app, question, texts.confirm.flashOver(name));
}
