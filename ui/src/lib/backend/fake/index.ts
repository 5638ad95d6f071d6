/** A backend without an application: stories for `npm run dev` and for the tests of the components. */
import type {
  Answer,
  Backend,
  DeviceId,
  DeviceView,
  Envelope,
  Event,
  StateKind,
  TimelineEntry,
  UpdateStateView,
  UpdateView,
} from '..';
import { assertNever } from '../../shared/assert';
import { progress, update, withActions } from './devices';
import { buildOutput } from './output';
import { countsOf, stories, type Story } from './stories';

export { stories } from './stories';

const STEP_MS = 150;

function ok<T>(data: T): Answer<T> {
  return { status: 'ok', data };
}

function no<T>(code: string, message: string, help: string | null = null): Answer<T> {
  return { status: 'error', error: { code, message, help } };
}

interface Past {
  timeline: TimelineEntry[];
  lines: string[];
}

export class FakeBackend implements Backend {
  /** The commands that were given, for the tests. */
  readonly calls: string[] = [];
  #story: Story;
  #devices: Map<DeviceId, DeviceView>;
  #past = new Map<DeviceId, Past>();
  #revision = 1;
  #listeners = new Set<(envelope: Envelope) => void>();
  #closing = new Set<() => void>();
  #lives = new Map<DeviceId, number>();

  constructor(story: Story) {
    this.#story = story;
    this.#devices = new Map(story.devices.map((device) => [device.id, device]));
    for (const device of story.devices) this.#past.set(device.id, pastOf(device));
  }

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

  async listen(onEvent: (envelope: Envelope) => void): Promise<() => void> {
    this.#listeners.add(onEvent);
    return () => this.#listeners.delete(onEvent);
  }

  async onCloseRequested(onRequest: () => void): Promise<() => void> {
    this.#closing.add(onRequest);
    if (this.#story.asksToClose) setTimeout(onRequest, 200);
    return () => this.#closing.delete(onRequest);
  }

  snapshot: Backend['snapshot'] = async () => {
    const { startProblem } = this.#story.info;
    if (startProblem) return { status: 'error', error: startProblem };
    return ok({
      revision: this.#revision,
      devices: [...this.#devices.values()],
      status: this.#status(),
      settings: this.#story.settings,
    });
  };

  details: Backend['details'] = async (id) => {
    const device = this.#devices.get(id);
    if (!device?.update) return no('update.none', 'There is no update of this device.');
    const { timeline, lines } = this.#pastOf(id);
    const path = `${this.#story.info.logDir}/${device.name}.log`;
    return ok({
      update: device.update,
      timeline: [...timeline],
      log: { firstLine: 0, lines: [...lines], path: lines.length > 0 ? path : null },
    });
  };

  appInfo: Backend['appInfo'] = async () => ok(this.#story.info);

  install = (id: DeviceId): Promise<Answer<number>> => this.#begin('install', id);
  retry = (id: DeviceId): Promise<Answer<number>> => this.#begin('retry', id);

  rebuild = async (id: DeviceId): Promise<Answer<null>> => {
    const answer = await this.#begin('rebuild', id);
    return answer.status === 'ok' ? ok(null) : answer;
  };

  flashAnyway: Backend['flashAnyway'] = async (id) => {
    this.calls.push(`flashAnyway ${id}`);
    void this.#deliver(id, this.#newLife(id));
    return ok(null);
  };

  cancel: Backend['cancel'] = async (id) => {
    this.calls.push(`cancel ${id}`);
    const refusal = this.#refusal<null>();
    if (refusal) return refusal;
    this.#newLife(id);
    const mayHaveArrived = this.#devices.get(id)?.update?.state.kind === 'confirming';
    this.#move(id, { kind: 'cancelled', at: Date.now(), mayHaveArrived }, 'You cancelled it.');
    return ok(null);
  };

  setSettings: Backend['setSettings'] = async (settings) => {
    this.calls.push(`setSettings ${JSON.stringify(settings)}`);
    const { configDir } = settings;
    if (configDir !== null && !configDir.startsWith('/')) {
      return no('config_dir.relative', 'This is not a full path.', 'It begins with a slash.');
    }
    this.#story = { ...this.#story, settings };
    this.emit({ kind: 'settings', settings });
    if (configDir !== null && this.#story.status.configDir.kind !== 'ready') {
      this.#setStatus({ configDir: { kind: 'ready', path: configDir } });
      for (const device of stories.quiet?.().devices ?? []) this.emit({ kind: 'device', device });
    }
    return ok(null);
  };

  configDirCandidates: Backend['configDirCandidates'] = async () => ok(this.#story.candidates);

  findEsphome: Backend['findEsphome'] = async () => {
    this.calls.push('findEsphome');
    return ok(null);
  };

  installEsphome: Backend['installEsphome'] = async () => {
    this.calls.push('installEsphome');
    void this.#installEsphome();
    return ok(null);
  };

  chooseDirectory: Backend['chooseDirectory'] = async () => ok('/home/sam/chosen');

  openPath: Backend['openPath'] = async (path) => {
    this.calls.push(`openPath ${path}`);
    return no('open.failed', `There is no desktop here that could open ${path}.`);
  };

  closeWindow: Backend['closeWindow'] = async () => {
    this.calls.push('closeWindow');
    return ok(null);
  };

  quit: Backend['quit'] = async () => {
    this.calls.push('quit');
    return ok(null);
  };

  #status() {
    return { ...this.#story.status, counts: countsOf(this.#devices.values()) };
  }

  #setStatus(part: Partial<Story['status']>): void {
    this.#story = { ...this.#story, status: { ...this.#story.status, ...part } };
    this.emit({ kind: 'status', status: this.#status() });
  }

  #refusal<T>(): Answer<T> | null {
    if (!this.#story.refuses) return null;
    return no(
      'store.full',
      'This can’t be saved: the disk is full.',
      'Free some space and try again.',
    );
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
    this.#pastOf(id).timeline.push({ at: Date.now(), state: state.kind, text });
    this.#put({ ...device, update: { ...device.update, progress: null, ...part, state } });
  }

  #progress(id: DeviceId, percent: number, step: string): void {
    const device = this.#devices.get(id);
    if (!device?.update) return;
    const now = progress(percent, step);
    this.#devices.set(id, { ...device, update: { ...device.update, progress: now } });
    this.emit({ kind: 'progress', device: id, update: device.update.id, progress: now });
  }

  async #begin(command: string, id: DeviceId): Promise<Answer<number>> {
    this.calls.push(`${command} ${id}`);
    const refusal = this.#refusal<number>();
    if (refusal) return refusal;
    const device = this.#devices.get(id);
    if (!device) return no('device.unknown', 'There is no such device any more.');
    const fresh = update(
      { kind: 'queued', ahead: 0 },
      { requestedAt: Date.now(), wantedHash: null, wantedVersion: null },
    );
    this.#past.set(id, { timeline: [], lines: [] });
    this.#put({ ...device, update: fresh });
    this.#pastOf(id).timeline.push({ at: Date.now(), state: 'queued', text: 'You asked for it.' });
    void this.#build(id, this.#newLife(id));
    return ok(fresh.id);
  }

  async #build(id: DeviceId, life: number): Promise<void> {
    await sleep(4 * STEP_MS);
    if (!this.#alive(id, life)) return;
    this.#move(id, { kind: 'building', since: Date.now() }, 'ESPHome started to compile.');
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
    this.#move(id, { kind: 'waiting', since: Date.now() }, 'Built; waits for the device.', built);
    await sleep(30 * STEP_MS);
    const device = this.#devices.get(id);
    if (!this.#alive(id, life) || !device) return;
    const address = device.addresses[0] ?? '192.168.7.99';
    this.#devices.set(id, { ...device, presence: 'online', lastSeen: Date.now() });
    const since = Date.now();
    this.#move(id, { kind: 'flashing', since, address }, `Connected to ${address}.`, {
      attempts: 1,
    });
    for (let percent = 4; percent <= 100; percent += 4) {
      await sleep(STEP_MS);
      if (!this.#alive(id, life)) return;
      this.#progress(id, percent, 'Sending the image');
    }
    const sent = { kind: 'confirming', since: Date.now(), acknowledged: true } as const;
    this.#move(id, sent, 'The device acknowledged the whole image.');
    await sleep(15 * STEP_MS);
    const back = this.#devices.get(id);
    if (!this.#alive(id, life) || !back) return;
    this.#devices.set(id, { ...back, deployedVersion: '2026.10.0', deployedHash: '8d1f02ac' });
    const done = { kind: 'installed', at: Date.now(), how: 'confirmed' } as const;
    this.#move(id, done, 'The device announced the new firmware.');
  }

  async #installEsphome(): Promise<void> {
    for (const step of ['Creating the environment', 'Downloading esphome', 'Installing packages']) {
      this.#setStatus({ esphome: { kind: 'installing', step } });
      await sleep(10 * STEP_MS);
    }
    const path = '/home/sam/.local/share/wakeflash/esphome/bin/esphome';
    this.#setStatus({ esphome: { kind: 'ready', path, version: '2026.10.0' } });
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What must have happened before, so that the drawer of a story has something to show. */
function pastOf(device: DeviceView): Past {
  const { update } = device;
  if (!update) return { timeline: [], lines: [] };
  const lines = buildOutput(device.name);
  const words: [StateKind, string][] = [
    ['queued', 'You asked for it.'],
    ['building', 'ESPHome started to compile.'],
    ['waiting', 'Built: 858 KiB, config hash 8d1f02ac.'],
    ['flashing', 'The device woke: connected to 192.168.7.42.'],
    ['waiting', 'The connection ended after 38 % of the image.'],
    ['flashing', 'The device woke: connected to 192.168.7.42.'],
    ['confirming', 'The device acknowledged the whole image.'],
  ];
  const { timeline, seen } = until(update, words);
  const log = seen < 2 ? [] : update.state.kind === 'building' ? lines.slice(0, 18) : lines;
  return { timeline, lines: log };
}

function until(update: UpdateView, words: [StateKind, string][]) {
  const { state } = update;
  const count = (): number => {
    switch (state.kind) {
      case 'queued':
        return 1;
      case 'building':
        return 2;
      case 'waiting':
        return update.attempts > 0 ? 5 : 3;
      case 'held':
        return 3;
      case 'flashing':
        return 6;
      case 'confirming':
      case 'installed':
      case 'failed':
        return 7;
      case 'cancelled':
      case 'superseded':
        return 3;
      default:
        return assertNever(state);
    }
  };
  const seen = count();
  const gap = (Date.now() - update.requestedAt) / (seen + 1);
  const timeline: TimelineEntry[] = words
    .slice(0, seen)
    .map(([state, text], n) => ({ at: Math.round(update.requestedAt + n * gap), state, text }));
  const last: Partial<Record<StateKind, string>> = {
    held: 'Held: its sources changed.',
    installed: 'The device announced the new firmware.',
    failed: state.kind === 'failed' ? state.problem.message : '',
    cancelled: 'You cancelled it.',
  };
  const text = last[state.kind];
  if (text) timeline.push({ at: Date.now() - 60_000, state: state.kind, text });
  return { timeline, seen };
}

export function fakeBackend(name: string): FakeBackend {
  const story = stories[name] ?? stories.demo;
  if (!story) throw new Error(`there is no story ${name}`);
  return new FakeBackend(story());
}
