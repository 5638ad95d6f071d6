/** A backend without an application: stories for `npm run dev` and for the tests of the components. */
import type {
  Answer,
  AnswerOf,
  Backend,
  Command,
  DeviceId,
  DeviceView,
  Envelope,
  Event,
  OpenDevice,
  Refusal,
  Request,
  UpdateRecord,
  UpdateStateView,
  UpdateView,
} from '..';
import { completeSettings } from '..';
import { changesOf } from './changes';
import { labelled, progress, stirred, update, withActions } from './devices';
import { buildOutput } from './output';
import { earlierOf, endedOf, pageOf, pastOf, recordOf, wakesOf, type Past } from './past';
import { FakeLogs } from './logs';
import { planOf } from './plan';
import { problems } from './problems';
import { countsOf, stories, type Story } from './stories';
import { INSTALLING, STEP_MS, no, ok, sleep, type Commands } from './answers';

export { stories } from './stories';

export class FakeBackend extends FakeLogs implements Backend, Commands {
  #story: Story;
  #devices: Map<DeviceId, DeviceView>;
  #past = new Map<DeviceId, Past>();
  #revision = 1;
  #listeners = new Set<(envelope: Envelope) => void>();
  #closing = new Set<() => void>();
  #opening = new Set<(request: OpenDevice) => void>();
  #earlier = new Map<DeviceId, UpdateRecord[]>();
  #lives = new Map<DeviceId, number>();
  /** What was cancelled, as it was before. */
  #undo = new Map<DeviceId, UpdateStateView | null>();

  constructor(story: Story) {
    super();
    this.#story = story;
    this.#devices = new Map(story.devices.map((device) => [device.id, device]));
    for (const [nth, device] of story.devices.entries()) {
      this.#past.set(device.id, pastOf(device));
      this.#earlier.set(device.id, earlierOf(device, nth));
    }
  }

  protected find = (id: DeviceId): DeviceView | undefined => this.#devices.get(id);
  protected show = (device: DeviceView): void => this.emit({ kind: 'device', device });

  /** Sends an event as the application would; tests call it too. */
  emit(event: Event): void {
    if (event.kind === 'device') this.#devices.set(event.device.id, event.device);
    if (event.kind === 'deviceRemoved') this.#devices.delete(event.id);
    this.#revision += 1;
    for (const listener of this.#listeners) listener({ revision: this.#revision, event });
  }

  requestClose(): void {
    for (const listener of this.#closing) listener();
  }

  requestOpen(request: OpenDevice): void {
    for (const listener of this.#opening) listener(request);
  }

  ask<R extends Request>(request: R): Promise<Answer<AnswerOf<R['cmd']>>> {
    const commands = this as Record<Command, unknown>;
    const answer = commands[request.cmd] as (its: R) => Promise<Answer<AnswerOf<R['cmd']>>>;
    return answer.call(this, request);
  }

  /** Plays Quit in the tray's menu. */
  askToQuit: (flashing: number) => void = () => undefined;
  onQuitRequested: Backend['onQuitRequested'] = async (onRequest) => {
    this.askToQuit = onRequest;
    return () => undefined;
  };

  async onOpenDevice(onOpen: (request: OpenDevice) => void): Promise<() => void> {
    this.#opening.add(onOpen);
    return () => this.#opening.delete(onOpen);
  }

  async listen(onEvent: (envelope: Envelope) => void): Promise<() => void> {
    this.#listeners.add(onEvent);
    if (this.#story.changesPerSecond > 0) this.#storm(this.#story.changesPerSecond);
    return () => this.#listeners.delete(onEvent);
  }

  async onCloseRequested(onRequest: () => void): Promise<() => void> {
    this.#closing.add(onRequest);
    if (this.#story.asksToClose) setTimeout(onRequest, 200);
    return () => this.#closing.delete(onRequest);
  }

  snapshot: Commands['snapshot'] = async () => {
    const { startProblem } = this.#story.info;
    if (startProblem) return { status: 'error', error: startProblem };
    return ok({
      revision: this.#revision,
      devices: [...this.#devices.values()],
      status: this.#status(),
      settings: this.#story.settings,
    });
  };

  details: Commands['details'] = async ({ device: id }) => {
    const device = this.#devices.get(id);
    if (!device?.update) return no(problems.noUpdate);
    const { timeline, lines } = this.#pastOf(id);
    const path = `${this.#story.info.logDir}/${device.name}.log`;
    return ok({
      update: device.update,
      timeline: [...timeline],
      log: { firstLine: 0, lines: [...lines], path: lines.length > 0 ? path : null },
    });
  };

  app_info: Commands['app_info'] = async () => ok(this.#story.info);

  install: Commands['install'] = ({ device }) => this.#begin('install', device);
  retry: Commands['retry'] = ({ device }) => this.#begin('retry', device);

  retry_with_password: Commands['retry_with_password'] = ({ device }) =>
    this.#begin('retryWithPassword', device);

  retry_clean: Commands['retry_clean'] = ({ device }) => this.#begin('retryClean', device);

  clean_build: Commands['clean_build'] = async ({ device: id }) => {
    this.calls.push(`cleanBuild ${id}`);
    const kind = this.#devices.get(id)?.update?.state.kind;
    return kind === 'building' ? no(problems.folderBusy) : ok(null);
  };

  validate: Commands['validate'] = async ({ device: id }) => {
    this.calls.push(`validate ${id}`);
    await sleep(4 * STEP_MS);
    const problem = this.#devices.get(id)?.problem;
    if (problem?.code !== problems.yamlSyntax.code) return ok({ kind: 'valid' });
    return ok({ kind: 'invalid', problem, file: 'common/network.yaml', line: 14 });
  };

  source_changes: Commands['source_changes'] = async ({ device: id }) => {
    const device = this.#devices.get(id);
    return device ? ok(changesOf(device)) : no(problems.unknownDevice);
  };

  rebuild: Commands['rebuild'] = async ({ device: id }) => {
    const answer = await this.#begin('rebuild', id);
    return answer.status === 'ok' ? ok(null) : answer;
  };

  install_previous: Commands['install_previous'] = async ({ device: id }) => {
    const device = this.#devices.get(id);
    if (!device?.previousBuild) return no(problems.noPrevious);
    return this.#begin('installPrevious', id);
  };

  flash_anyway: Commands['flash_anyway'] = async ({ device: id }) => {
    this.calls.push(`flashAnyway ${id}`);
    void this.#deliver(id, this.#newLife(id));
    return ok(null);
  };

  dismiss: Commands['dismiss'] = async ({ device: id }) => {
    this.calls.push(`dismiss ${id}`);
    const device = this.#devices.get(id);
    if (device) this.emit({ kind: 'device', device: withActions({ ...device, update: null }) });
    return ok(null);
  };

  cancel: Commands['cancel'] = async ({ device: id }) => {
    this.calls.push(`cancel ${id}`);
    const refusal = this.#refusal<null>();
    if (refusal) return refusal;
    this.#newLife(id);
    this.#undo.set(id, this.#devices.get(id)?.update?.state ?? null);
    const mayHaveArrived = this.#devices.get(id)?.update?.state.kind === 'confirming';
    this.#move(id, { kind: 'cancelled', at: Date.now(), mayHaveArrived }, 'Cancelled.');
    return ok(null);
  };

  undo_cancel: Commands['undo_cancel'] = ({ devices: ids }) =>
    this.#each(ids, async (id) => {
      this.calls.push(`undoCancel ${id}`);
      const before = this.#undo.get(id);
      if (!before) return no(problems.noUpdate);
      this.#undo.delete(id);
      this.#move(id, before, 'The cancel was undone: it goes on where it was.');
      return ok(null);
    });

  /** All at the same moment, as the application does. */
  install_many: Commands['install_many'] = ({ devices: ids }) => {
    const at = Date.now();
    return this.#each(ids, (id) => this.#begin('install', id, at));
  };
  cancel_many: Commands['cancel_many'] = ({ devices: ids }) =>
    this.#each(ids, (id) => this.cancel({ device: id }));

  plan: Commands['plan'] = async ({ devices: ids }) => {
    const all = [...this.#devices.values()];
    const wanted = ids?.flatMap((id) => this.#devices.get(id) ?? []);
    return ok(planOf(wanted ?? all.filter((device) => device.updateAvailable)));
  };

  set_paused: Commands['set_paused'] = async ({ paused }) => {
    this.calls.push(`setPaused ${paused}`);
    this.#story = { ...this.#story, settings: { ...this.#story.settings, paused } };
    this.emit({ kind: 'settings', settings: this.#story.settings });
    this.#setStatus({ paused });
    return ok(null);
  };

  set_address: Commands['set_address'] = async ({ device: id, address }) => {
    this.calls.push(`setAddress ${id} ${address}`);
    const device = this.#devices.get(id);
    if (!device) return no(problems.unknownDevice);
    if (address !== null && !/^[\w.:-]+$/.test(address)) return no(problems.noAddress);
    this.emit({ kind: 'device', device: { ...device, userAddress: address } });
    return ok(null);
  };

  set_label: Commands['set_label'] = async ({ devices: ids, label, on }) => {
    this.calls.push(`setLabel ${ids} ${label} ${on}`);
    for (const device of ids.flatMap((id) => this.#devices.get(id) ?? [])) {
      this.emit({ kind: 'device', device: labelled(device, label, on) });
    }
    return ok(null);
  };

  choose_config: Commands['choose_config'] = async ({ device: id }) => {
    this.calls.push(`chooseConfig ${id}`);
    const device = this.#devices.get(id);
    if (!device) return no(problems.unknownDevice);
    this.emit({ kind: 'device', device: { ...device, problem: null } });
    return ok(null);
  };

  accept_board: Commands['accept_board'] = async ({ device: id }) => {
    this.calls.push(`acceptBoard ${id}`);
    const device = this.#devices.get(id);
    if (!device?.rival) return no(problems.noRival);
    const { mac, address } = device.rival;
    const addresses = address === null ? [] : [address];
    this.emit({ kind: 'device', device: { ...device, mac, addresses, rival: null } });
    return ok(null);
  };

  history: Commands['history'] = async ({ device: id }) => {
    const { update } = this.#devices.get(id) ?? {};
    const earlier = this.#earlier.get(id) ?? [];
    return ok([...earlier, ...(update ? [recordOf(update)] : [])].reverse());
  };

  activity: Commands['activity'] = async ({ before, limit }) => {
    const all = [...this.#devices.values()].flatMap((device) =>
      endedOf(device, this.#earlier.get(device.id) ?? []),
    );
    return ok(pageOf(all, before, limit));
  };

  wakes: Commands['wakes'] = async ({ device: id }) =>
    ok([this.#devices.get(id)].flatMap((device) => (device ? wakesOf(device) : [])));

  build_log: Commands['build_log'] = async ({ update }) => {
    const path = `${this.#story.info.logDir}/update-${update}.log`;
    return ok({ firstLine: 0, lines: buildOutput(`update-${update}`), path });
  };

  save_image: Commands['save_image'] = async ({ device: id }) => {
    this.calls.push(`saveImage ${id}`);
    return ok(`/home/sam/${this.#devices.get(id)?.name}.ota.bin`);
  };

  change_settings: Commands['change_settings'] = async ({ change }) => {
    this.calls.push(`changeSettings ${JSON.stringify(change)}`);
    const settings = completeSettings({ ...this.#story.settings, ...change });
    const { configDir } = settings;
    if (configDir !== null && !configDir.startsWith('/')) return no(problems.folderMissing);
    const { compilerCache } = settings;
    if (compilerCache !== null && !/^(http|redis):/.test(compilerCache))
      return no(problems.noCache);
    this.#story = { ...this.#story, settings };
    this.emit({ kind: 'settings', settings });
    if (settings.paused !== this.#story.status.paused) this.#setStatus({ paused: settings.paused });
    if (configDir !== null && this.#story.status.configDir.kind !== 'ready') {
      this.#setStatus({ configDir: { kind: 'ready', path: configDir } });
      for (const device of stories.quiet?.().devices ?? []) this.emit({ kind: 'device', device });
    }
    return ok(settings);
  };

  config_dir_candidates: Commands['config_dir_candidates'] = async () => ok(this.#story.candidates);

  find_esphome: Commands['find_esphome'] = () => this.done('findEsphome');

  install_esphome: Commands['install_esphome'] = async () => {
    this.calls.push('installEsphome');
    void this.#installEsphome();
    return ok(null);
  };

  report: Commands['report'] = async () => {
    this.calls.push('report');
    return ok(`Wakeflash ${this.#story.info.version}\nESPHome 2026.10.0\n`);
  };

  async #each(
    ids: DeviceId[],
    command: (id: DeviceId) => Promise<Answer<unknown>>,
  ): Promise<Answer<Refusal[]>> {
    const refused: Refusal[] = [];
    for (const id of ids) {
      const answer = await command(id);
      if (answer.status === 'error') refused.push({ device: id, problem: answer.error });
    }
    return ok(refused);
  }

  /** Some devices change their state all the time: for measurements. */
  #storm(perSecond: number): void {
    let next = 0;
    setInterval(() => {
      const ids = [...this.#devices.keys()];
      for (let n = 0; n < perSecond / 20; n += 1) {
        const device = this.#devices.get(ids[next++ % ids.length] ?? '');
        if (device?.file != null) this.#put(stirred(device));
      }
    }, 50);
  }

  #status() {
    return { ...this.#story.status, counts: countsOf(this.#devices.values()) };
  }

  #setStatus(part: Partial<Story['status']>): void {
    this.#story = { ...this.#story, status: { ...this.#story.status, ...part } };
    this.emit({ kind: 'status', status: this.#status() });
  }

  #refusal<T>(): Answer<T> | null {
    if (!this.#story.refuses) return null;
    return no(problems.storeUnwritable);
  }

  #pastOf(id: DeviceId): Past {
    let past = this.#past.get(id);
    if (!past) this.#past.set(id, (past = { timeline: [], lines: [] }));
    return past;
  }

  /** A new story of this device begins; the one that runs ends. */
  #newLife(id: DeviceId): number {
    const life = (this.#lives.get(id) ?? 0) + 1;
    this.#lives.set(id, life);
    return life;
  }

  #alive(id: DeviceId, life: number): boolean {
    return this.#lives.get(id) === life;
  }

  #put(device: DeviceView): void {
    this.emit({ kind: 'device', device: withActions(device) });
    this.emit({ kind: 'status', status: this.#status() });
  }

  #move(id: DeviceId, state: UpdateStateView, text: string, part: Partial<UpdateView> = {}): void {
    const device = this.#devices.get(id);
    if (!device?.update) return;
    this.#pastOf(id).timeline.push({ at: Date.now(), state: state.kind, text, code: null });
    this.#put({ ...device, update: { ...device.update, progress: null, ...part, state } });
  }

  #progress(id: DeviceId, percent: number, step: string): void {
    const device = this.#devices.get(id);
    if (!device?.update) return;
    const now = progress(percent, step);
    this.#devices.set(id, { ...device, update: { ...device.update, progress: now } });
    this.emit({ kind: 'progress', device: id, update: device.update.id, progress: now });
  }

  async #begin(command: string, id: DeviceId, requestedAt = Date.now()): Promise<Answer<number>> {
    this.calls.push(`${command} ${id}`);
    const refusal = this.#refusal<number>();
    if (refusal) return refusal;
    const device = this.#devices.get(id);
    if (!device) return no(problems.unknownDevice);
    const fresh = update(
      { kind: 'queued', ahead: 0, again: null },
      { requestedAt, wantedHash: null, wantedVersion: null },
    );
    this.#past.set(id, { timeline: [], lines: [] });
    if (device.update) this.#earlier.get(id)?.push(recordOf(device.update));
    this.#put({ ...device, update: fresh });
    this.#pastOf(id).timeline.push({
      at: Date.now(),
      state: 'queued',
      text: 'Install requested.',
      code: null,
    });
    void this.#build(id, this.#newLife(id));
    return ok(fresh.id);
  }

  async #build(id: DeviceId, life: number): Promise<void> {
    await sleep(4 * STEP_MS);
    if (!this.#alive(id, life)) return;
    this.#move(id, { kind: 'building', since: Date.now() }, 'ESPHome builds the firmware.');
    const output = buildOutput(this.#devices.get(id)?.name ?? 'device');
    for (const [n, line] of output.entries()) {
      await sleep(STEP_MS);
      const update = this.#devices.get(id)?.update;
      if (!this.#alive(id, life) || !update) return;
      const { lines } = this.#pastOf(id);
      lines.push(line);
      const event = { kind: 'buildOutput', device: id, update: update.id } as const;
      this.emit({ ...event, firstLine: lines.length - 1, lines: [line] });
      this.#progress(id, Math.round((100 * (n + 1)) / output.length), 'Compiling');
    }
    await this.#deliver(id, life);
  }

  async #deliver(id: DeviceId, life: number): Promise<void> {
    if (!this.#alive(id, life)) return;
    const built = { wantedHash: '8d1f02ac', wantedVersion: '2026.10.0' };
    this.#move(
      id,
      { kind: 'waiting', since: Date.now(), mayHaveArrived: false },
      'Built: 879 kB. Waiting for the device.',
      built,
    );
    await sleep(30 * STEP_MS);
    const device = this.#devices.get(id);
    if (!this.#alive(id, life) || !device) return;
    const address = device.addresses[0] ?? '192.168.7.99';
    this.#devices.set(id, { ...device, presence: 'online', lastSeen: Date.now() });
    const since = Date.now();
    this.#move(id, { kind: 'flashing', since, address }, `Connected to ${address} (attempt 1).`, {
      attempts: 1,
    });
    for (let percent = 4; percent <= 100; percent += 4) {
      await sleep(STEP_MS);
      if (!this.#alive(id, life)) return;
      this.#progress(id, percent, 'Sending the image');
    }
    const sent = { kind: 'confirming', since: Date.now(), acknowledged: true } as const;
    this.#move(id, sent, 'The device took the new firmware; waiting for it to come back.');
    await sleep(15 * STEP_MS);
    const back = this.#devices.get(id);
    if (!this.#alive(id, life) || !back) return;
    const runs = { deployedVersion: '2026.10.0', deployedHash: '8d1f02ac' };
    this.#devices.set(id, { ...back, ...runs, modified: false, updateAvailable: false });
    const done = { kind: 'installed', at: Date.now(), how: 'confirmed', watched: true } as const;
    this.#move(id, done, 'Installed: the device announced the new firmware.');
  }

  async #installEsphome(): Promise<void> {
    for (const [step, percent] of INSTALLING) {
      this.#setStatus({ esphome: { kind: 'installing', step, percent } });
      await sleep(10 * STEP_MS);
    }
    const settings = { ...this.#story.settings, ownEsphome: true };
    this.#story = { ...this.#story, settings };
    this.emit({ kind: 'settings', settings });
    const path = '/home/sam/.local/share/wakeflash/esphome-1/bin/esphome';
    this.#setStatus({ esphome: { kind: 'ready', path, version: '2026.10.0', problem: null } });
  }
}

export function fakeBackend(name: string): FakeBackend {
  const story = stories[name] ?? stories.demo;
  if (!story) throw new Error(`there is no story ${name}`);
  return new FakeBackend(story());
}
