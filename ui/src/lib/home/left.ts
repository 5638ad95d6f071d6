/** How long a build or a transfer still takes. */
import type { DeviceView } from '../backend';
import { texts } from '../i18n/index.svelte';
import { exactSpan } from '../shared/time';
import type { Pace } from './batch';

/** Before this much is done, how long it took so far says little. */
const ENOUGH_PERCENT = 15;

/** "1 min left"; empty: nobody knows. */
export function leftOf({ update }: DeviceView, usual: Pace, now: number): string {
  const state = update?.state;
  if (state?.kind !== 'building' && state?.kind !== 'flashing') return '';
  const passed = Math.max(0, now - state.since);
  const percent = update?.progress?.percent ?? 0;
  // A transfer goes on evenly; how far a build is says less than how long the others took.
  const whole =
    state.kind === 'flashing' && percent >= ENOUGH_PERCENT
      ? (passed * 100) / percent
      : state.kind === 'building'
        ? usual.build
        : usual.flash;
  const left = whole - passed;
  return left < 1_000 ? '' : texts.home.left(exactSpan(left));
}
