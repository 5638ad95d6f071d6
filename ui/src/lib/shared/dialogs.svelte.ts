/** What lies over the page: one question, or one dialog. */
import type { DeviceId } from '../backend';

export interface Question {
  title: string;
  /** One line. */
  body: string;
  /** What follows from a yes. */
  points?: readonly string[];
  yes: string;
  no: string;
  /** A third answer. */
  other?: string;
  /** `yes` loses nothing. */
  harmless?: boolean;
  /** Leaving is asked for more often than once: by the window's frame, by the tray, by keys. */
  about?: 'quit' | 'close';
}

/** `replaced`: another question took its place before it was answered. */
export type Reply = 'yes' | 'no' | 'other' | 'replaced';

export type Dialog =
  | { kind: 'palette' }
  | { kind: 'keys' }
  | { kind: 'address'; device: DeviceId }
  | { kind: 'labels'; devices: readonly DeviceId[] }
  | { kind: 'password'; device: DeviceId }
  /** `null`: everything that there is an update for. */
  | { kind: 'install'; devices: readonly DeviceId[] | null };

export class Dialogs {
  open: Dialog | null = $state.raw(null);
  #asked: (() => Question | null) | null = $state.raw(null);
  #resolve: ((reply: Reply) => void) | null = null;

  /** What is asked, as things stand now; one thing at a time. */
  get question(): Question | null {
    return this.#asked?.() ?? null;
  }

  /** There is nothing left to ask about. */
  get outlived(): boolean {
    return this.#asked !== null && this.question === null;
  }

  /** Whether something lies over the page, which then doesn't get the keys. */
  get covered(): boolean {
    return this.question !== null || this.open !== null;
  }

  /** A question is asked in other words when things change meanwhile. With nothing left to ask, the answer is no. */
  ask(question: () => Question | null): Promise<Reply> {
    this.answer('replaced');
    this.#asked = question;
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  answer(reply: Reply): void {
    const resolve = this.#resolve;
    this.#resolve = null;
    this.#asked = null;
    resolve?.(reply);
  }

  show(dialog: Dialog): void {
    this.open = dialog;
  }

  close(): void {
    this.open = null;
  }
}
