/** The wakes of a device as a picture: pure arithmetic. */
import type { WakeRecord, WakeView } from '../backend';

export const WIDTH = 400;
export const HEIGHT = 64;
/** Narrower bars couldn't be seen. */
const THINNEST = 2;
/** As high is a wake that was so short that it couldn't be seen, or of which nobody knows how long it was. */
const LOWEST = 2;
const UNKNOWN = 6;
/** More wakes than these would be a solid block. */
const SHOWN = 40;

export interface Bar {
  x: number;
  width: number;
  height: number;
  at: number;
  awakeSeconds: number | null;
  flashed: boolean;
}

export interface Plot {
  from: number;
  until: number;
  bars: Bar[];
  /** How many seconds the full height is: the longest wake that is shown. */
  longest: number;
  now: number;
  /** Where the next wake is expected. */
  expected: { x: number; left: number; width: number } | null;
}

export function plotOf(records: readonly WakeRecord[], wake: WakeView | null, now: number): Plot {
  const shown = records.slice(-SHOWN);
  const jitter = (wake?.jitterSeconds ?? 0) * 1_000;
  const first = shown[0]?.at ?? now - 24 * 3_600_000;
  const next = wake?.next ?? null;
  const from = Math.min(first, now - 60_000);
  const last = Math.max(now, (next ?? now) + jitter);
  const until = last + (last - from) * 0.03;
  const longest = Math.max(1, ...shown.map(({ awakeSeconds }) => awakeSeconds ?? 0));
  const slot = WIDTH / Math.max(1, shown.length);
  const width = Math.max(THINNEST, Math.min(6, slot * 0.45));
  /** The first bar begins where the picture does. */
  const x = (at: number) => width / 2 + ((WIDTH - width / 2) * (at - from)) / (until - from);
  const bars = shown.map(({ at, awakeSeconds, flashed }) => ({
    x: x(at) - width / 2,
    width,
    height: awakeSeconds === null ? UNKNOWN : Math.max(LOWEST, (HEIGHT * awakeSeconds) / longest),
    at,
    awakeSeconds,
    flashed,
  }));
  const half = Math.max((WIDTH * jitter) / (until - from), width / 2);
  const expected =
    next === null ? null : { x: x(next), left: x(next) - half, width: Math.max(width, half * 2) };
  return { from, until, bars, longest, now: x(now), expected };
}

/** How long the device was awake, in milliseconds: usually, and at most; `null`: nobody knows. */
export function awakeOf(records: readonly WakeRecord[]): { usual: number; longest: number } | null {
  const known = records.flatMap(({ awakeSeconds }) => awakeSeconds ?? []).sort((a, b) => a - b);
  const usual = known[Math.floor(known.length / 2)];
  const longest = known.at(-1);
  if (usual === undefined || longest === undefined) return null;
  return { usual: usual * 1_000, longest: longest * 1_000 };
}
