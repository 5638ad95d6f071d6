/** When the last of many updates is done, in words. */
import { texts } from '../i18n/index.svelte';
import { dayAndTime, timeOfDay } from '../shared/time';
import type { Forecast } from './batch';

const DAY = 24 * 3_600_000;

/** "tomorrow 07:30". */
function dayWords(at: number, now: number): string {
  const t = texts.batch;
  const days = Math.round((startOfDay(at) - startOfDay(now)) / DAY);
  if (days === 0) return t.today(timeOfDay(at, at));
  if (days === 1) return t.tomorrow(timeOfDay(at, at));
  return dayAndTime(at, now);
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** "expected done tomorrow 07:30, Attic Lights last, 2 whenever they wake"; "done when they wake or come back". */
export function forecastWords({ known, unknown }: Forecast, now: number): string {
  const t = texts.batch;
  if (!known) return t.whenever(unknown);
  const parts = [
    t.expected(dayWords(known.at, now)),
    t.last(known.last),
    unknown > 0 ? t.unknown(unknown) : '',
  ];
  return parts.filter(Boolean).join(', ');
}

/** What begins a line begins with a capital. */
export function sentence(words: string): string {
  return words.charAt(0).toLocaleUpperCase() + words.slice(1);
}
