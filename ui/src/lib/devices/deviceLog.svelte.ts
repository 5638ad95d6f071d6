/** The log of one device, as long as somebody looks: each question says so. */
import type { Backend, DeviceId, DeviceLogState, LogRecording, Problem } from '../backend';

/** How often it is asked what is new. */
const EVERY = 1_000;
/** After a refusal there is less haste. */
const AFTER_PROBLEM = 3_000;
/** As many lines as are drawn with ease. */
const KEPT = 5_000;

export class DeviceLogFeed {
  lines: readonly string[] = $state.raw([]);
  /** The number of the first line that is here. */
  firstLine = $state(0);
  state: DeviceLogState | null = $state.raw(null);
  level: string | null = $state(null);
  problem: Problem | null = $state.raw(null);

  #backend: Backend;
  #id: DeviceId;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(backend: Backend, id: DeviceId) {
    this.#backend = backend;
    this.#id = id;
    void this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    const from = this.firstLine + this.lines.length;
    let pause = EVERY;
    try {
      const answer = await this.#backend.ask({ cmd: 'device_log', device: this.#id, from });
      if (this.#stopped) return;
      if (answer.status === 'ok') {
        const { state, level, firstLine, lines } = answer.data;
        this.problem = null;
        this.state = state;
        this.level = level;
        this.#take(from, firstLine, lines);
        // There may be more than is told at once.
        if (lines.length > 0) pause = EVERY / 5;
      } else {
        this.problem = answer.error;
        pause = AFTER_PROBLEM;
      }
    } catch (error) {
      if (this.#stopped) return;
      this.problem = { code: 'window.details', message: String(error), help: null };
      pause = AFTER_PROBLEM;
    }
    this.#timer = setTimeout(() => void this.#ask(), pause);
  }

  /** Lines that don't follow on what is here take its place: some are missing, or the count began anew. */
  #take(from: number, first: number, fresh: readonly string[]): void {
    if (first !== from) {
      this.firstLine = first;
      this.lines = fresh;
    } else if (fresh.length > 0) {
      const all = [...this.lines, ...fresh];
      const gone = Math.max(0, all.length - KEPT);
      this.firstLine += gone;
      this.lines = all.slice(gone);
    }
  }
}

/** What was recorded of one device. */
export class Recordings {
  list: readonly LogRecording[] | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  /** The one that is open, and its lines when they are here. */
  open: number | null = $state(null);
  lines: readonly string[] | null = $state.raw(null);

  #backend: Backend;
  #id: DeviceId;

  constructor(backend: Backend, id: DeviceId) {
    this.#backend = backend;
    this.#id = id;
  }

  async load(): Promise<void> {
    const answer = await this.#backend.ask({ cmd: 'log_recordings', device: this.#id });
    if (answer.status === 'ok') {
      this.list = answer.data;
      this.problem = null;
    } else {
      this.problem = answer.error;
    }
  }

  async toggle(at: number): Promise<void> {
    this.lines = null;
    this.open = this.open === at ? null : at;
    if (this.open === null) return;
    const answer = await this.#backend.ask({ cmd: 'log_recording', device: this.#id, at });
    // Another one may have been opened meanwhile.
    if (this.open !== at) return;
    if (answer.status === 'ok') this.lines = answer.data;
    else [this.problem, this.open] = [answer.error, null];
  }
}
