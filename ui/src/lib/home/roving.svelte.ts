/** One of the lines of a page is in the order of Tab; the arrows lead to the others. */
import { createContext } from 'svelte';
import { Moves } from '../shared/moves';

export class Roving {
  /** The keys of all lines, in their order. */
  keys: readonly string[] = $state.raw([]);
  /** The line that has the focus, or had it last. */
  active: string | null = $state(null);
  readonly moves = new Moves();

  get reachable(): string | undefined {
    return this.active !== null && this.keys.includes(this.active) ? this.active : this.keys[0];
  }
}

export const [getRoving, setRoving] = createContext<Roving>();

/** The line that an element belongs to. */
export function lineOf(target: EventTarget | null): string | null {
  const line = target instanceof Element ? target.closest('[data-key]') : null;
  return line?.getAttribute('data-key') ?? null;
}
