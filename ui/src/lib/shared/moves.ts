/** Rows of a live list that came to lie elsewhere by themselves: a click may have been meant for who was there before. */
const UNSEEN_MS = 500;

export class Moves {
  #ids: readonly string[] = [];
  #how = '';
  #moved = new Map<string, number>();

  /** Takes note of the order. `how` is what the user asked for: when that changes, the list is another one. */
  see(ids: readonly string[], how: string): void {
    const [before, own] = [this.#ids, how !== this.#how];
    this.#ids = ids;
    this.#how = how;
    if (own) this.#moved.clear();
    if (own || ids.every((id, index) => id === before[index])) return;
    // One that is new where somebody else was is as much of a surprise.
    ids.forEach((id, index) => {
      if (index < before.length && id !== before[index]) this.#moved.set(id, performance.now());
    });
  }

  /**
   * Whether a click in this row was meant for another one: nobody can have seen yet that it lies where it lies. A key
   * is meant for what has the focus, wherever that went.
   */
  deceived(id: string, click: MouseEvent): boolean {
    return click.detail > 0 && performance.now() - (this.#moved.get(id) ?? -Infinity) < UNSEEN_MS;
  }
}
