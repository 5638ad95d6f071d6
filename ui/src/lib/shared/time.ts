/** Times in words. The clock is always an argument. */
import { texts } from './texts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "12 min ago". A time in the future (the system's clock was set back) counts as now. */
export function ago(at: number, now: number): string {
  const passed = now - at;
  if (passed < 50_000) return texts.time.justNow;
  if (passed < HOUR) return texts.time.minutesAgo(Math.max(1, Math.floor(passed / MINUTE)));
  if (passed < DAY) return texts.time.hoursAgo(Math.floor(passed / HOUR));
  return texts.time.daysAgo(Math.floor(passed / DAY));
}

/** "3 days". */
export function span(passed: number): string {
  if (passed < MINUTE) return texts.time.moments;
  if (passed < HOUR) return texts.time.minutes(Math.floor(passed / MINUTE));
  if (passed < DAY) return texts.time.hours(Math.floor(passed / HOUR));
  return texts.time.days(Math.floor(passed / DAY));
}

const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const clockSeconds = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const dayOnly = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const everything = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** "10:32", or the day when it isn't today's. */
export function timeOfDay(at: number, now: number): string {
  return (sameDay(at, now) ? clockTime : dayOnly).format(at);
}

/** "10:32:07", with the date when it isn't today's. */
export function exactTime(at: number, now: number): string {
  return (sameDay(at, now) ? clockSeconds : everything).format(at);
}

/** The full date and time, for tooltips and `datetime`. */
export function fullTime(at: number): string {
  return everything.format(at);
}

export function machineTime(at: number): string {
  return new Date(at).toISOString();
}
