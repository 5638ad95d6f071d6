/**
 * Gives what is drawn a slot each, and keeps it as long as it is drawn. Rows that come into view take over the
 * slots, and so the elements, of those that went: changing a row costs less than making one.
 */
export class Pool {
  #slots = new Map<string, number>();
  #free: number[] = [];
  #made = 0;

  assign(keys: readonly string[]): number[] {
    const wanted = new Set(keys);
    for (const [key, slot] of this.#slots) {
      if (wanted.has(key)) continue;
      this.#slots.delete(key);
      this.#free.push(slot);
    }
    return keys.map((key) => {
      let slot = this.#slots.get(key);
      if (slot === undefined) {
        slot = this.#free.shift() ?? this.#made++;
        this.#slots.set(key, slot);
      }
      return slot;
    });
  }
}
