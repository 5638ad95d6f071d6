/* eslint-disable svelte/prefer-svelte-reactivity -- the sets never change; a new one takes the place of the old one */
/** The devices that are selected for a bulk action. */
import type { DeviceId, DeviceView } from '../backend';

export function idsOf(devices: readonly DeviceView[]): ReadonlySet<DeviceId> {
  return new Set(devices.map(({ id }) => id));
}

export class Selection {
  ids: ReadonlySet<DeviceId> = $state.raw(new Set());
  /** Where a range begins: the device that was selected last. */
  #anchor: DeviceId | null = null;

  has(id: DeviceId): boolean {
    return this.ids.has(id);
  }

  get count(): number {
    return this.ids.size;
  }

  toggle(id: DeviceId): void {
    const next = new Set(this.ids);
    if (!next.delete(id)) next.add(id);
    this.ids = next;
    this.#anchor = id;
  }

  /** Selects everything between the last one and this, in the order that is shown. */
  extend(id: DeviceId, order: readonly DeviceId[]): void {
    const from = this.#anchor === null ? -1 : order.indexOf(this.#anchor);
    const to = order.indexOf(id);
    if (from < 0 || to < 0) {
      this.toggle(id);
      return;
    }
    this.ids = new Set([...this.ids, ...order.slice(Math.min(from, to), Math.max(from, to) + 1)]);
  }

  all(ids: readonly DeviceId[]): void {
    this.ids = new Set(ids);
    this.#anchor = ids[0] ?? null;
  }

  /** Adds these to what is selected, or takes them from it. */
  these(ids: readonly DeviceId[], on: boolean): void {
    const rest = [...this.ids].filter((id) => !ids.includes(id));
    this.ids = new Set(on ? [...rest, ...ids] : rest);
  }

  /** Drops those that are gone. */
  keepOnly(ids: ReadonlySet<DeviceId>): void {
    const left = [...this.ids].filter((id) => ids.has(id));
    if (left.length < this.ids.size) this.ids = new Set(left);
  }

  clear(): void {
    if (this.ids.size > 0) this.ids = new Set();
    this.#anchor = null;
  }
}
