/** How long a build or a transfer still takes. */
import type { BuildAgainView, DeviceView } from '../backend';
import { say } from '../i18n/problems';
import { texts } from '../i18n/index.svelte';
import { dayAndTime, leftSpan } from '../shared/time';
import type { Pace } from './batch';

/** Before this much is done, how long it took so far says little. */
const ENOUGH_PERCENT = 15;

/** "1 min left"; empty: nobody knows. */
export function leftOf({ update }: DeviceView, usual: Pace, now: number): string {
  const state = update?.state;
  if (state?.kind !== 'building' && state?.kind !== 'flashing') return '';
  const passed = Math.max(0, now - state.since);
  const percent = update?.progress?.percent ?? 0;
  // A transfer goes on evenly; how far a build is says less than how long the others took, until it takes longer.
  const counts = state.kind === 'flashing' || passed >= usual.build;
  const some = state.kind === 'building' ? usual.build : usual.flash;
  const left = (counts && percent >= ENOUGH_PERCENT ? (passed * 100) / percent : some) - passed;
  return left < 1_000 ? '' : texts.home.left(leftSpan(left));
}

/** "Download failed, again at 14:20". */
export function againWords({ problem, at }: BuildAgainView, now: number): string {
  const t = texts.home;
  return `${say(problem).title}, ${at === null ? t.againSoon : t.againAt(dayAndTime(at, now))}`;
}
