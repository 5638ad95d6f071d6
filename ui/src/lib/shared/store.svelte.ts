/* eslint-disable svelte/prefer-svelte-reactivity -- the maps here are not rendered; what is, is published from them */
/** The application's state as the components read it: a projection of the backend. */
import type {
  Answer,
  AnswerOf,
  Backend,
  DeviceId,
  DeviceView,
  Event,
  Problem,
  Settings,
  Snapshot,
  Status,
} from '../backend';
import { completeSettings } from '../backend';
import { displayName, stateWords } from '../updates/words';
import { Projection } from './projection';
import { texts } from '../i18n/index.svelte';

/** Changes are published at most this often, so that a storm of events costs few renderings; the first is shown at once. */
const FRAME_MS = 50;
/** More changes at once than these are announced as a number. */
const ANNOUNCED_ONE_BY_ONE = 3;

/** By a language that has an order of letters: the desktop's own locale can be that of bytes (C). */
const order = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

function compare(a: DeviceView, b: DeviceView): number {
  return order.compare(displayName(a), displayName(b)) || order.compare(a.id, b.id);
}

export class Store {
  /** Sorted by the name that is shown. */
  devices: readonly DeviceView[] = $state.raw([]);
  status: Status | null = $state.raw(null);
  /** With the changes that are on their way. */
  settings: Settings | null = $state.raw(null);
  /** Why there is no snapshot, when there is none. */
  trouble: Problem | null = $state.raw(null);
  /** What a screen reader is told. */
  announcement = $state('');

  /** What builds here; the one from before while another one is searched for or installed. `null`: there is none. */
  esphomeVersion: string | null = $state(null);

  #projection: Projection;
  #byId = new Map<DeviceId, DeviceView>();
  #order: DeviceId[] | null = null;
  #listeners = new Set<(event: Event) => void>();
  #resetListeners = new Set<() => void>();
  #news = new Map<DeviceId, string>();
  #dirty = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** By a clock that nobody sets. */
  #published = 0;
  /** The settings as the application has them, and how often it has told them. */
  #confirmed: Settings | null = null;
  #told = 0;
  /** Changes that were not answered yet, oldest first. */
  #changes: Partial<Settings>[] = [];
  #lastChange: Promise<unknown> = Promise.resolve();

  /** Whether no new build and no new flash is begun. */
  get paused(): boolean {
    return this.status?.paused ?? false;
  }

  constructor(backend: Backend) {
    this.#projection = new Projection(backend, {
      reset: (snapshot) => this.#reset(snapshot),
      apply: (event) => this.#apply(event),
      trouble: (problem) => (this.trouble = problem),
    });
  }

  /** One of the devices, as it is known now. */
  device(id: DeviceId): DeviceView | undefined {
    return this.#byId.get(id);
  }

  start(): Promise<void> {
    return this.#projection.start();
  }

  stop(): void {
    this.#projection.stop();
    clearTimeout(this.#timer);
  }

  /** Every event as it arrives, for those that follow a build. */
  onEvent(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Events may have been missed; what was followed must be asked for again. */
  onReset(listener: () => void): () => void {
    this.#resetListeners.add(listener);
    return () => this.#resetListeners.delete(listener);
  }

  #reset(snapshot: Snapshot): void {
    this.#byId = new Map(snapshot.devices.map((device) => [device.id, device]));
    this.#order = null;
    this.#takeStatus(snapshot.status);
    this.#takeSettings(completeSettings(snapshot.settings));
    this.#publish();
    for (const listener of this.#resetListeners) listener();
  }

  #apply(event: Event): void {
    switch (event.kind) {
      case 'device':
        this.#put(event.device);
        break;
      case 'deviceRemoved':
        if (this.#byId.delete(event.id)) this.#order = null;
        this.#changed();
        break;
      case 'status':
        this.#takeStatus(event.status);
        break;
      case 'settings':
        this.#takeSettings(completeSettings(event.settings));
        break;
      case 'progress': {
        const device = this.#byId.get(event.device);
        if (device?.update?.id === event.update) {
          const update = { ...device.update, progress: event.progress };
          this.#byId.set(device.id, { ...device, update });
          this.#changed();
        }
        break;
      }
      case 'buildOutput':
        break;
      default:
        // A newer application may say more than this window knows.
        event satisfies never;
    }
    for (const listener of this.#listeners) listener(event);
  }

  /**
   * Shows changed settings at once, and what has become of them when they are answered; answers why they were
   * refused. They are sent one after the other; what a change doesn't name stays as the application has it then.
   */
  async changeSettings(
    change: Partial<Settings>,
    send: (change: Partial<Settings>) => Promise<Answer<AnswerOf<'change_settings'>>>,
  ): Promise<Problem | null> {
    this.#changes.push(change);
    this.#showSettings();
    const answered = this.#lastChange.then(() => this.#sendChange(change, send));
    this.#lastChange = answered;
    return answered;
  }

  async #sendChange(
    change: Partial<Settings>,
    send: (change: Partial<Settings>) => Promise<Answer<AnswerOf<'change_settings'>>>,
  ): Promise<Problem | null> {
    const before = this.#told;
    const answer = this.#confirmed && (await send(change));
    this.#changes = this.#changes.filter((other) => other !== change);
    // What was told meanwhile is newer than the answer.
    if (answer?.status === 'ok' && this.#told === before) {
      this.#confirmed = completeSettings(answer.data);
    }
    this.#showSettings();
    return answer?.status === 'error' ? answer.error : null;
  }

  #takeSettings(settings: Settings): void {
    this.#told += 1;
    this.#confirmed = settings;
    this.#showSettings();
  }

  #showSettings(): void {
    this.settings = this.#confirmed && Object.assign({}, this.#confirmed, ...this.#changes);
  }

  #takeStatus(status: Status): void {
    this.status = status;
    const { esphome } = status;
    if (esphome.kind === 'ready') this.esphomeVersion = esphome.version;
    else if (esphome.kind === 'missing') this.esphomeVersion = null;
  }

  #put(device: DeviceView): void {
    const before = this.#byId.get(device.id);
    this.#byId.set(device.id, device);
    if (!before || displayName(before) !== displayName(device)) this.#order = null;
    if (device.update && before?.update?.state.kind !== device.update.state.kind) {
      const words = texts.announce.change(
        displayName(device),
        stateWords(device, Date.now(), this.paused).title,
      );
      this.#news.set(device.id, words);
    }
    this.#changed();
  }

  #changed(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    const wait = Math.max(0, this.#published + FRAME_MS - performance.now());
    if (wait === 0) this.#publish();
    else this.#timer = setTimeout(() => this.#publish(), wait);
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#dirty = false;
    this.#published = performance.now();
    this.#order ??= [...this.#byId.values()].sort(compare).map((device) => device.id);
    this.devices = this.#order.flatMap((id) => this.#byId.get(id) ?? []);
    if (this.#news.size > 0) {
      const news = [...this.#news.values()];
      this.#news.clear();
      this.announcement =
        news.length > ANNOUNCED_ONE_BY_ONE ? texts.announce.many(news.length) : news.join('. ');
    }
  }
}
