/** The time as the window shows it: relative times read `clock.now` and so refresh by themselves. */
const TICK_MS = 10_000;

export class Clock {
  now = $state(Date.now());
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS);
    document.addEventListener('visibilitychange', this.tick);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    document.removeEventListener('visibilitychange', this.tick);
  }

  tick = (): void => {
    if (!document.hidden) this.now = Date.now();
  };
}
