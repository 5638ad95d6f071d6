/** Times, spans and sizes in words. The clock is always an argument. */
import type { WakeView } from '../backend';
import { currentLocale, texts } from '../i18n/index.svelte';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "12 min ago". A time in the future (the system's clock was set back) counts as now. */
export function ago(at: number, now: number): string {
  const passed = now - at;
  if (passed < 50 * SECOND) return texts.time.justNow;
  if (passed < HOUR) return texts.time.minutesAgo(Math.max(1, Math.floor(passed / MINUTE)));
  if (passed < DAY) return texts.time.hoursAgo(Math.floor(passed / HOUR));
  return texts.time.daysAgo(Math.floor(passed / DAY));
}

/** "3 days". */
export function span(passed: number): string {
  if (passed < MINUTE) return texts.time.moments;
  return longSpan(passed);
}

/** As `span`, to the second: "12 s". */
export function exactSpan(passed: number): string {
  if (passed < 2 * MINUTE) return texts.time.seconds(Math.max(1, Math.round(passed / SECOND)));
  return longSpan(passed);
}

function longSpan(passed: number): string {
  if (passed < HOUR) return texts.time.minutes(Math.floor(passed / MINUTE));
  if (passed < DAY) return texts.time.hours(Math.floor(passed / HOUR));
  return texts.time.days(Math.floor(passed / DAY));
}

/**
 * When a device wakes next: "in ~12 min", and shortly before or for one that wakes all the time "in ~30 s". It is any
 * moment from the earliest time on at which it was usually there. The tray's menu says the same: both are tested with
 * the core's `next_wake.json`.
 */
export function wakesIn(next: number, wake: WakeView, now: number): string {
  const left = next - now;
  if (left <= (wake.jitterSeconds ?? 0) * SECOND) return texts.time.anyMoment;
  const often = (wake.periodSeconds ?? Infinity) * SECOND < 2 * MINUTE;
  if (left < (often ? 2 * MINUTE : 55 * SECOND)) {
    const tens = Math.max(1, Math.round(left / (10 * SECOND)));
    return texts.time.inAbout(texts.time.seconds(tens * 10));
  }
  return texts.time.inAbout(roundedSpan(left));
}

/** A wake that is nearer than this is counted down by the second. */
export const SOON_MS = 2 * MINUTE;

/** The same where it lives: "in 43 s", then "in 12 min". */
export function countdown(next: number, wake: WakeView, now: number): string {
  const left = next - now;
  if (left <= (wake.jitterSeconds ?? 0) * SECOND) return texts.home.anyMoment;
  const span = left < SOON_MS ? texts.time.seconds(Math.ceil(left / SECOND)) : roundedSpan(left);
  return texts.home.in(span);
}

/** What is left of something that is under way: "43 s", "2 min". */
export function leftSpan(left: number): string {
  return left < MINUTE ? texts.time.seconds(Math.ceil(left / SECOND)) : roundedSpan(left);
}

/** To the nearest unit, where `longSpan` says how many have passed. */
function roundedSpan(left: number): string {
  const minutes = Math.max(1, Math.round(left / MINUTE));
  if (minutes < 60) return texts.time.minutes(minutes);
  const hours = Math.round(left / HOUR);
  return hours < 24 ? texts.time.hours(hours) : texts.time.days(Math.round(left / DAY));
}

const STYLES = {
  clock: { timeStyle: 'short' },
  seconds: { timeStyle: 'medium' },
  day: { month: 'short', day: 'numeric' },
  dayAndClock: { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' },
  everything: { dateStyle: 'medium', timeStyle: 'medium' },
} satisfies Record<string, Intl.DateTimeFormatOptions>;

/** Making a formatter costs more than using it. */
const formats = new Map<string, Intl.DateTimeFormat>();

function format(style: keyof typeof STYLES, at: number): string {
  const key = `${currentLocale()} ${style}`;
  let made = formats.get(key);
  if (!made) formats.set(key, (made = new Intl.DateTimeFormat(currentLocale(), STYLES[style])));
  return made.format(at);
}

function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** "10:32", or the day when it isn't today's. */
export function timeOfDay(at: number, now: number): string {
  return format(sameDay(at, now) ? 'clock' : 'day', at);
}

/** "10:32", or "23 Nov, 10:32". */
export function dayAndTime(at: number, now: number): string {
  return format(sameDay(at, now) ? 'clock' : 'dayAndClock', at);
}

/** "10:32:07", with the date when it isn't today's. */
export function exactTime(at: number, now: number): string {
  return format(sameDay(at, now) ? 'seconds' : 'everything', at);
}

/** The full date and time, for tooltips. */
export function fullTime(at: number): string {
  return format('everything', at);
}

/** For `datetime`. */
export function machineTime(at: number): string {
  return new Date(at).toISOString();
}

/** "859 kB". */
export function size(bytes: number): string {
  const big = bytes >= 1_000_000;
  return new Intl.NumberFormat(currentLocale(), {
    style: 'unit',
    unit: big ? 'megabyte' : 'kilobyte',
    maximumFractionDigits: big ? 1 : 0,
  }).format(bytes / (big ? 1_000_000 : 1_000));
}
