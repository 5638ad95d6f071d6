/** The wakes of a device that were seen. */
import { untrack } from 'svelte';
import type { DeviceView, Problem, WakeRecord } from '../backend';
import { getApp } from '../shared/app.svelte';

interface Seen {
  /** `null`: not known yet. */
  readonly records: readonly WakeRecord[] | null;
  /** Why they can't be had. */
  readonly problem: Problem | null;
}

/** Asks for them, and again when something tells that there is another one. For use while a component is set up. */
export function wakesSeen(device: () => DeviceView): Seen {
  const app = getApp();
  let records: readonly WakeRecord[] | null = $state.raw(null);
  let problem: Problem | null = $state.raw(null);
  /** What tells that there is another wake, that one has ended, or that it was flashed in one. */
  const stamp = $derived.by(() => {
    const { id, presence, wake, update } = device();
    return `${id} ${presence} ${wake?.next} ${update?.state.kind}`;
  });
  $effect(() => {
    void stamp;
    let outdated = false;
    void untrack(() => app.backend.ask({ cmd: 'wakes', device: device().id })).then((answer) => {
      if (outdated) return;
      problem = answer.status === 'error' ? answer.error : null;
      if (answer.status === 'ok') records = answer.data;
    });
    return () => (outdated = true);
  });
  return {
    get records() {
      return records;
    },
    get problem() {
      return problem;
    },
  };
}
