/** The update of one device in detail, and its build log as it grows. */
import type { Backend, DeviceId, DeviceView, Event, Problem, TimelineEntry } from '../backend';
import type { Store } from '../shared/store.svelte';

type Output = Extract<Event, { kind: 'buildOutput' }>;

/** As many lines as the application itself gives of a log; those before are in its file. */
const KEPT = 5_000;

/** What tells that the timeline has grown. */
function stamp(device: DeviceView): string {
  const { update } = device;
  if (!update) return '';
  return [update.id, update.state.kind, update.attempts, update.lastAttempt?.at].join('/');
}

export class Details {
  timeline: readonly TimelineEntry[] = $state.raw([]);
  lines: readonly string[] = $state.raw([]);
  /** The number of the first line that is here. */
  firstLine = $state(0);
  logPath: string | null = $state(null);
  problem: Problem | null = $state.raw(null);
  loaded = $state(false);

  #backend: Backend;
  #id: DeviceId;
  #update: number | null = null;
  #stamp = '';
  #loading = false;
  #again = false;
  #early: Output[] = [];
  #stops: (() => void)[];

  constructor(backend: Backend, store: Store, device: DeviceView) {
    this.#backend = backend;
    this.#id = device.id;
    this.#stops = [
      store.onEvent((event) => this.#receive(event)),
      store.onReset(() => {
        const now = store.devices.find(({ id }) => id === this.#id);
        this.#stamp = now ? stamp(now) : '';
        this.#reload();
      }),
    ];
    this.#follow(device);
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #receive(event: Event): void {
    if (event.kind === 'device' && event.device.id === this.#id) this.#follow(event.device);
    if (event.kind === 'buildOutput' && event.device === this.#id) {
      if (this.#loading) this.#early.push(event);
      else this.#append(event);
    }
  }

  #follow(device: DeviceView): void {
    const now = stamp(device);
    if (now === this.#stamp) return;
    this.#stamp = now;
    if (device.update) this.#reload();
    else this.loaded = true;
  }

  #reload(): void {
    if (this.#stamp === '') return;
    if (this.#loading) this.#again = true;
    else void this.#load();
  }

  async #load(): Promise<void> {
    this.#loading = true;
    do {
      this.#again = false;
      try {
        const answer = await this.#backend.ask({ cmd: 'details', device: this.#id });
        if (answer.status === 'ok') {
          const { update, timeline, log } = answer.data;
          this.problem = null;
          this.timeline = timeline;
          this.#update = update.id;
          this.firstLine = log.firstLine;
          this.lines = log.lines;
          this.logPath = log.path;
        } else {
          this.problem = answer.error;
        }
      } catch (error) {
        this.problem = { code: 'window.details', message: String(error), help: null };
      }
    } while (this.#again && this.#stops.length > 0);
    this.#loading = false;
    this.loaded = true;
    const early = this.#early;
    this.#early = [];
    for (const output of early) this.#append(output);
  }

  #append(output: Output): void {
    if (output.update !== this.#update) return;
    const next = this.firstLine + this.lines.length;
    if (output.firstLine > next) {
      this.#reload();
      return;
    }
    const fresh = output.lines.slice(next - output.firstLine);
    if (fresh.length === 0) return;
    const lines = [...this.lines, ...fresh];
    const gone = Math.max(0, lines.length - KEPT);
    this.lines = lines.slice(gone);
    this.firstLine += gone;
  }
}
