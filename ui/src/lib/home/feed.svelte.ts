/** The updates that have ended, newest first, a page at a time. */
import type { ActivityCursor, ActivityRecord, Backend, Problem } from '../backend';
import type { Store } from '../shared/store.svelte';
import { displayName } from '../updates/words';

/** A device that ends its update is told before the others of the same moment. */
const GATHER_MS = 400;

export class Feed {
  records: readonly ActivityRecord[] = $state.raw([]);
  /** Where the next page begins; `null`: there is none. */
  next: ActivityCursor | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  loaded = $state(false);

  #backend: Backend;
  #store: Store;
  #limit: number;
  #stops: (() => void)[];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;

  constructor(backend: Backend, store: Store, limit: number) {
    this.#backend = backend;
    this.#store = store;
    this.#limit = limit;
    this.#stops = [
      store.onEvent((event) => {
        if (event.kind === 'device' && event.device.update && 'at' in event.device.update.state) {
          this.#soon();
        }
      }),
      store.onReset(() => this.#soon()),
    ];
    void this.#load();
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const stop of this.#stops) stop();
  }

  /** Asks for what is older. */
  async older(): Promise<void> {
    if (this.next) await this.#ask(this.next);
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(), GATHER_MS);
  }

  #load(): Promise<void> {
    return this.#ask(null);
  }

  /** What a person calls its device, as long as that is listed. */
  #named(record: ActivityRecord): ActivityRecord {
    const device = this.#store.device(record.device);
    return device ? { ...record, name: displayName(device) } : record;
  }

  async #ask(before: ActivityCursor | null): Promise<void> {
    const asked = ++this.#asked;
    const answer = await this.#backend.ask({ cmd: 'activity', before, limit: this.#limit });
    // Of two answers the later question's counts.
    if (asked !== this.#asked) return;
    this.loaded = true;
    this.problem = answer.status === 'error' ? answer.error : null;
    if (answer.status === 'error') return;
    const records = answer.data.records.map((record) => this.#named(record));
    const { next } = answer.data;
    if (before === null) {
      const newest = records.map(({ update }) => update.id);
      const last = records.at(-1)?.update.endedAt ?? -Infinity;
      const older = this.records.filter(
        ({ update }) => !newest.includes(update.id) && (update.endedAt ?? 0) < last,
      );
      this.records = [...records, ...older];
      if (older.length === 0) this.next = next;
    } else {
      this.records = [...this.records, ...records];
      this.next = next;
    }
  }
}
