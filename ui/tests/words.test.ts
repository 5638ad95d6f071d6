import { describe, expect, it } from 'vitest';
import nextWakes from '../../src-tauri/core/src/words/next_wake.json';
import type { WakeView } from '../src/lib/backend';
import { device, update } from '../src/lib/backend/fake/devices';
import { pieces, plain } from '../src/lib/builds/ansi';
import { itemsOf } from '../src/lib/devices/filter';
import { presenceLine, presenceWords, wakeWords } from '../src/lib/devices/presence';
import { speak } from '../src/lib/i18n/index.svelte';
import { ago, span, wakesIn } from '../src/lib/shared/time';
import { Pool } from '../src/lib/shared/pool';
import { offsets, visible } from '../src/lib/shared/windowing';
import { stateWords } from '../src/lib/updates/words';

const NOW = Date.UTC(2026, 10, 23, 12);
const MINUTE = 60_000;

describe('times', () => {
  it('are relative, and never in the future', () => {
    expect(ago(NOW + 5_000, NOW)).toBe('just now');
    expect(ago(NOW - 12 * MINUTE, NOW)).toBe('12\u00a0min ago');
    expect(ago(NOW - 3 * 60 * MINUTE, NOW)).toBe('3\u00a0h ago');
    expect(ago(NOW - 24 * 60 * MINUTE, NOW)).toBe('1 day ago');
    expect(span(3 * 24 * 60 * MINUTE)).toBe('3 days');
  });
});

describe('presence', () => {
  it('is said in words', () => {
    const lastSeen = NOW - 12 * MINUTE;
    expect(presenceLine(device('A', { lastSeen, wake: null }), NOW)).toBe(
      'Asleep, seen 12\u00a0min ago',
    );
    const gone = device('A', { presence: 'offline', lastSeen: NOW - 72 * 60 * MINUTE });
    expect(presenceWords(gone, NOW).title).toBe('Offline 3 days');
    const never = device('A', { presence: 'unknown', lastSeen: null });
    expect(presenceWords(never, NOW)).toMatchObject({ title: 'Never seen', detail: 'sleeps' });
  });
});

describe('the next wake', () => {
  const languages = ['en', 'de'] as const;
  const cases = languages.flatMap((language) => nextWakes.map((one) => ({ language, ...one })));

  it.each(cases)('in $left s, of every $period ± $jitter: $language', (one) => {
    speak(one.language);
    const wake: WakeView = {
      rhythm: 'configured',
      periodSeconds: one.period,
      jitterSeconds: one.jitter,
      next: NOW + one.left * 1_000,
      overdue: false,
      windowSeconds: null,
    };
    expect(wakesIn(NOW + one.left * 1_000, wake, NOW)).toBe(one[one.language]);
    speak('en');
    expect(wakeWords(wake, NOW)).toBe(`next wake ${one.en}`);
  });
});

describe('states', () => {
  it('tells a sleeper from a device that is merely gone', () => {
    const waiting = update({ kind: 'waiting', since: NOW - 3 * 3_600_000, mayHaveArrived: false });
    const title = (part: Parameters<typeof device>[1]) =>
      stateWords(device('A', { update: waiting, ...part }), NOW, false).title;
    expect(title({})).toMatch(/^Waiting for wake for 3.h$/);
    expect(title({ deepSleep: false, presence: 'offline' })).toMatch(
      /^Waiting for the device for 3.h$/,
    );
    expect(title({ deepSleep: false, presence: 'online' })).toMatch(/^Waiting to connect for 3.h$/);
  });

  it('names the file that changed, or how many did', () => {
    const held = (paths: string[]) => {
      const changes = paths.map((path) => ({ path, kind: 'edited' as const }));
      return stateWords(
        device('A', { update: update({ kind: 'held', changes, mayHaveArrived: false }) }),
        NOW,
        false,
      ).title;
    };
    expect(held(['a.yaml'])).toBe('Held: a.yaml changed');
    expect(held(['a.yaml', 'b.yaml'])).toBe('Held: 2 files changed');
  });
});

describe('the list', () => {
  it('finds every word anywhere, and puts what was discovered last', () => {
    const devices = [
      device('Garden Soil'),
      device('Seen', { file: null, id: 'mdns/seen' }),
      device('Garden Lamp', { addresses: ['10.0.0.7'] }),
    ];
    expect(itemsOf(devices, { query: '', filter: null }).map((item) => item.key)).toEqual([
      'garden-soil.yaml',
      'garden-lamp.yaml',
      '/discovered',
      'mdns/seen',
    ]);
    expect(
      itemsOf(devices, { query: 'GARDEN 10.0', filter: null }).map((item) => item.key),
    ).toEqual(['garden-lamp.yaml']);
    expect(itemsOf(devices, { query: '', filter: 'waiting' })).toEqual([]);
  });

  it('draws what is in view only', () => {
    const places = offsets(Array.from({ length: 1_000 }, () => 70));
    expect(visible(places, 0, 700, 0)).toEqual({ start: 0, end: 11 });
    expect(visible(places, 35_000, 700, 140)).toEqual({ start: 498, end: 513 });
    expect(visible(places, 70_000, 700, 0)).toEqual({ start: 1_000, end: 1_000 });
    expect(visible([0], 0, 700, 0)).toEqual({ start: 0, end: 0 });
  });
});

describe('slots', () => {
  it('are kept while a row is drawn, and taken over afterwards', () => {
    const pool = new Pool();
    expect(pool.assign(['a', 'b', 'c'])).toEqual([0, 1, 2]);
    expect(pool.assign(['b', 'c', 'd'])).toEqual([1, 2, 0]);
    expect(pool.assign(['d', 'e', 'f', 'b', 'g'])).toEqual([0, 2, 3, 1, 4]);
    expect(pool.assign([])).toEqual([]);
    expect(new Set(pool.assign(['x', 'y', 'z'])).size).toBe(3);
  });
});

describe('terminal output', () => {
  it('keeps colours as classes and drops the rest', () => {
    expect(pieces('\u001b[32mINFO\u001b[0m hi')).toEqual([
      { text: 'INFO', classes: 'ansi-green' },
      { text: ' hi', classes: '' },
    ]);
    expect(plain('\u001b[2K10 %\r20 %\r')).toBe('20 %');
    expect(plain('<img src=x onerror=alert(1)>&amp;')).toBe('<img src=x onerror=alert(1)>&amp;');
    expect(plain('\u001b]0;title\u0007a\u0000b')).toBe('ab');
  });
});
