/** The time as the window shows it: relative times read `clock.now` and so refresh by themselves. */
const TICK_MS = 10_000;
const SOON_MS = 1_000;

export class Clock {
  now = $state(Date.now());
  /** By the second, while somebody asks for that. */
  soon = $state(Date.now());
  #timer: ReturnType<typeof setInterval> | undefined;
  #fast: ReturnType<typeof setInterval> | undefined;
  #askers = 0;

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS);
    document.addEventListener('visibilitychange', this.tick);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearInterval(this.#fast);
    this.#timer = this.#fast = undefined;
    document.removeEventListener('visibilitychange', this.tick);
  }

  tick = (): void => {
    if (!document.hidden) this.now = this.soon = Date.now();
  };

  /** Asks for seconds, until what is answered is called. */
  bySeconds(): () => void {
    this.#askers += 1;
    this.#fast ??= setInterval(() => {
      if (!document.hidden) this.soon = Date.now();
    }, SOON_MS);
    return () => {
      this.#askers -= 1;
      if (this.#askers > 0) return;
      clearInterval(this.#fast);
      this.#fast = undefined;
    };
  }
}
