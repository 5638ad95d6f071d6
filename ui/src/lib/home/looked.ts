/** When the user last looked at what has ended. The window's page ends when it is closed. */
const KEY = 'wakeflash.looked';
/** A glance away is none: what came since belongs to the same look. */
const SAME_LOOK_MS = 10 * 60_000;

interface Looked {
  /** When the look before this one ended. */
  before: number;
  /** When this one was last known to go on. */
  last: number;
}

function read(): Looked {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '');
    const { before, last } = Object(kept);
    if (Number.isFinite(before) && Number.isFinite(last)) return { before, last };
  } catch {
    // Nobody has looked, or there is no storage.
  }
  return { before: 0, last: 0 };
}

/** When the user looked before; 0: never. */
export function lookedBefore(now: number): number {
  const { before, last } = read();
  return now - last < SAME_LOOK_MS ? before : last;
}

export function keepLooked(now: number): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ before: lookedBefore(now), last: now }));
  } catch {
    // Then everything of the next look is new.
  }
}
