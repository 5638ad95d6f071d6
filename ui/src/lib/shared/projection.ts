/**
 * Keeps a copy of the application's state: subscribes first, then asks for a snapshot, applies the events
 * that follow on it, and asks again when one is missing.
 */
import type { Backend, Envelope, Event, Problem, Snapshot, Unlisten } from '../backend';

export interface Sink {
  reset(snapshot: Snapshot): void;
  apply(event: Event): void;
  /** Asking for a snapshot failed (it is asked for again), or works again. */
  trouble(problem: Problem | null): void;
}

/** How far `to` is ahead of `from`; revisions are 32 bits wide and wrap. Behind: negative. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;

export class Projection {
  #backend: Backend;
  #sink: Sink;
  /** The revision that the sink is at; `null`: a snapshot is on its way. */
  #revision: number | null = null;
  #early: Envelope[] = [];
  #unlisten: Unlisten | null = null;
  #stopped = false;
  #retryMs = FIRST_RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend, sink: Sink) {
    this.#backend = backend;
    this.#sink = sink;
  }

  async start(): Promise<void> {
    let unlisten: Unlisten;
    try {
      unlisten = await this.#backend.listen((envelope) => this.#receive(envelope));
    } catch (error) {
      this.#fail(error, () => this.start());
      return;
    }
    if (this.#stopped) {
      unlisten();
      return;
    }
    this.#unlisten = unlisten;
    await this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#unlisten?.();
  }

  #receive(envelope: Envelope): void {
    if (this.#revision === null) {
      this.#early.push(envelope);
      return;
    }
    const ahead = distance(this.#revision, envelope.revision);
    if (ahead <= 0) return;
    if (ahead === 1) {
      this.#revision = envelope.revision;
      this.#sink.apply(envelope.event);
      return;
    }
    this.#revision = null;
    this.#early = [envelope];
    void this.#ask();
  }

  async #ask(): Promise<void> {
    try {
      const answer = await this.#backend.ask({ cmd: 'snapshot' });
      if (this.#stopped) return;
      if (answer.status === 'ok') {
        this.#retryMs = FIRST_RETRY_MS;
        this.#sink.trouble(null);
        this.#take(answer.data);
      } else this.#retry(answer.error, () => this.#askAnew());
    } catch (error) {
      this.#fail(error, () => this.#askAnew());
    }
  }

  /** What came until now is in the next snapshot: it needn't be kept, however long there is none. */
  #askAnew(): Promise<void> {
    this.#early = [];
    return this.#ask();
  }

  #fail(error: unknown, again: () => Promise<void>): void {
    this.#retry({ code: 'window.snapshot', message: String(error), help: null }, again);
  }

  #retry(problem: Problem, again: () => Promise<void>): void {
    if (this.#stopped) return;
    this.#sink.trouble(problem);
    this.#timer = setTimeout(() => void again(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  #take(snapshot: Snapshot): void {
    const early = this.#early;
    this.#early = [];
    this.#revision = snapshot.revision;
    this.#sink.reset(snapshot);
    for (const envelope of early) this.#receive(envelope);
  }
}
