import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer, Backend, Envelope, Event, Snapshot } from '../src/lib/backend';
import { FakeBackend } from '../src/lib/backend/fake';
import { Projection, distance } from '../src/lib/shared/projection';
import { story } from './helpers';

function removed(id: string): Event {
  return { kind: 'deviceRemoved', id };
}

/** A backend whose snapshots are answered by hand. */
function bench() {
  let send: (envelope: Envelope) => void = () => undefined;
  const asked: ((answer: Answer<Snapshot>) => void)[] = [];
  const unlisten = vi.fn();
  const backend: Backend = Object.assign(new FakeBackend(story('empty')), {
    listen: async (onEvent: (envelope: Envelope) => void) => {
      send = onEvent;
      return unlisten;
    },
    snapshot: () => new Promise<Answer<Snapshot>>((resolve) => asked.push(resolve)),
  });
  const log: string[] = [];
  const projection = new Projection(backend, {
    reset: (snapshot) => log.push(`reset ${snapshot.revision}`),
    apply: (event) => log.push(event.kind === 'deviceRemoved' ? event.id : event.kind),
    trouble: (problem) => problem && log.push(`trouble ${problem.code}`),
  });
  const template = new FakeBackend(story('empty')).ask({ cmd: 'snapshot' });
  return {
    log,
    asked,
    projection,
    unlisten,
    event: (revision: number) => send({ revision, event: removed(`e${revision}`) }),
    async answer(revision: number) {
      const snapshot = await template;
      if (snapshot.status !== 'ok') throw new Error('the story has a snapshot');
      asked.shift()?.({ status: 'ok', data: { ...snapshot.data, revision } });
      await vi.advanceTimersByTimeAsync(0);
    },
    async refuse() {
      asked.shift()?.({ status: 'error', error: { code: 'no', message: 'No.', help: null } });
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

describe('the projection', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('subscribes before it asks, and applies what came meanwhile once', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(b.asked).toHaveLength(1);
    b.event(4);
    b.event(5);
    b.event(6);
    expect(b.log).toEqual([]);
    await b.answer(5);
    expect(b.log).toEqual(['reset 5', 'e6']);
    b.event(7);
    expect(b.log.at(-1)).toBe('e7');
  });

  it('ignores duplicates and what is old', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    await b.answer(10);
    b.event(11);
    b.event(11);
    b.event(3);
    expect(b.log).toEqual(['reset 10', 'e11']);
    expect(b.asked).toHaveLength(0);
  });

  it('asks again when one is missing, and goes on from there', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    await b.answer(10);
    b.event(12);
    b.event(13);
    expect(b.log).toEqual(['reset 10']);
    expect(b.asked).toHaveLength(1);
    await b.answer(12);
    expect(b.log).toEqual(['reset 10', 'reset 12', 'e13']);
  });

  it('asks once more when there is a gap behind the snapshot too', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    b.event(20);
    await b.answer(10);
    expect(b.asked).toHaveLength(1);
    await b.answer(20);
    b.event(21);
    expect(b.log).toEqual(['reset 10', 'reset 20', 'e21']);
  });

  it('keeps asking when it gets no snapshot', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    await b.refuse();
    expect(b.log).toEqual(['trouble no']);
    await vi.advanceTimersByTimeAsync(300);
    expect(b.asked).toHaveLength(1);
    await b.answer(1);
    expect(b.log).toEqual(['trouble no', 'reset 1']);
  });

  it('goes over the end of 32 bits', async () => {
    expect(distance(0xffff_ffff, 0)).toBe(1);
    expect(distance(0, 0xffff_ffff)).toBe(-1);
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    await b.answer(0xffff_ffff);
    b.event(0);
    expect(b.log.at(-1)).toBe('e0');
  });

  it('stops', async () => {
    const b = bench();
    void b.projection.start();
    await vi.advanceTimersByTimeAsync(0);
    b.projection.stop();
    expect(b.unlisten).toHaveBeenCalledOnce();
    await b.answer(1);
    expect(b.log).toEqual([]);
  });
});
