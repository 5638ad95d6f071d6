/** What lies over the page: one question, or one dialog. */
import type { DeviceId } from '../backend';

export interface Question {
  title: string;
  body: string;
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
  /** `null`: everything that there is an update for. */
  | { kind: 'install'; devices: readonly DeviceId[] | null };

export class Dialogs {
  /** What is asked; one thing at a time. */
  question: Question | null = $state.raw(null);
  open: Dialog | null = $state.raw(null);
  #resolve: ((reply: Reply) => void) | null = null;

  /** Whether something lies over the page, which then doesn't get the keys. */
  get covered(): boolean {
    return this.question !== null || this.open !== null;
  }

  ask(question: Question): Promise<Reply> {
    this.answer('replaced');
    this.question = question;
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  answer(reply: Reply): void {
    const resolve = this.#resolve;
    this.#resolve = null;
    this.question = null;
    resolve?.(reply);
  }

  show(dialog: Dialog): void {
    this.open = dialog;
  }

  close(): void {
    this.open = null;
  }
}
