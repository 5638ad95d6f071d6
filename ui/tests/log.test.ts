/** A log of any length is drawn in part, while searching, following and copying work on all of it. */
import { fireEvent, screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { tick } from 'svelte';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { FakeBackend } from '../src/lib/backend/fake';
import { device, update } from '../src/lib/backend/fake/devices';
import * as ansi from '../src/lib/builds/ansi';
import { DRAWN, LINE_EM, lineAt, windowAround } from '../src/lib/builds/lines';
import { findLines, Folded, mark } from '../src/lib/builds/search';
import { CLICKS, inside, row, show } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const building = device('One', { update: update({ kind: 'building', since: 0 }, { id: 900 }) });

function long(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `\u001b[32mCompiling\u001b[0m part ${n}.cpp`);
}

async function open(lines: string[], firstLine = 0): Promise<FakeBackend> {
  const backend = await show('quiet', { devices: [building] });
  const log = { firstLine, lines, path: null };
  backend.details = async () => ({
    status: 'ok',
    data: { update: building.update!, timeline: [], log },
  });
  await user.click(inside(row('one.yaml'), 'open-details'));
  if (lines.length > 0) await waitFor(() => expect(drawn().length).toBeGreaterThan(0));
  return backend;
}

const log = () => screen.getByTestId('build-log');
const drawn = () => [...log().querySelectorAll<HTMLElement>('.line')];
const here = () => log().querySelector('.here')?.textContent;

const ROW = 18;

/** Lays out a log of 5,000 lines that all have one row. */
function layOut(): void {
  const number = (line: HTMLElement) => Number(/\d+/.exec(line.textContent ?? '')?.[0]);
  vi.spyOn(HTMLElement.prototype, 'offsetTop', 'get').mockImplementation(function (
    this: HTMLElement,
  ) {
    return number(this) * ROW;
  });
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(ROW);
  vi.spyOn(Element.prototype, 'clientHeight', 'get').mockReturnValue(16 * ROW);
  vi.spyOn(Element.prototype, 'scrollHeight', 'get').mockReturnValue(5_000 * ROW);
}

/** For how many lines there is room above and below those that are drawn. */
function spaces(): number[] {
  const all = [...log().querySelectorAll<HTMLElement>('div:not(.line)')];
  return all.map((space) => Math.round(parseFloat(space.style.height) / LINE_EM));
}

async function scrollTo(line: number): Promise<void> {
  log().scrollTop = line * ROW;
  await fireEvent.scroll(log());
}

describe('a long log', () => {
  it('is searched without drawing it', async () => {
    await open(long(100_000));
    expect(drawn().length).toBeLessThanOrEqual(DRAWN);
    const search = screen.getByTestId('log-search');
    await user.type(search, 'c');
    expect(screen.getByText('1 of 100000')).toBeInTheDocument();
    expect(here()).toBe('Compiling part 0.cpp');
    expect(log().querySelectorAll('*').length).toBeLessThan(DRAWN * 10);

    await user.keyboard('{Shift>}{Enter}{/Shift}');
    expect(here()).toBe('Compiling part 99999.cpp');
    await user.keyboard('{Enter}{Enter}');
    expect(here()).toBe('Compiling part 1.cpp');
    await fireEvent.input(search, { target: { value: 'part 50000.' } });
    await tick();
    expect(here()).toBe('Compiling part 50000.cpp');
    expect(drawn().length).toBeLessThanOrEqual(DRAWN);
    await user.keyboard('{Escape}');
    expect(drawn().length).toBeLessThanOrEqual(DRAWN);
    expect(log().querySelector('.here')).toBeNull();
  });

  it('is drawn where it is scrolled to', async () => {
    layOut();
    await open(long(5_000));
    expect(drawn().at(-1)).toHaveTextContent('part 4999.cpp');
    for (const line of [4_800, 4_760, 2_000, 2_060, 10, 0, 1_234]) {
      await scrollTo(line);
      expect(drawn().length).toBe(DRAWN);
      const [before = -1, after = -1] = spaces();
      expect(before + DRAWN + after).toBe(5_000);
      expect(before).toBeLessThanOrEqual(line);
      expect(before + DRAWN).toBeGreaterThanOrEqual(line + 16);
      expect(drawn()[line - before]).toHaveTextContent(`part ${line}.cpp`);
      expect(log().scrollTop).toBe(line * ROW);
    }
    await scrollTo(5_000 - 16);
    expect(screen.getByTestId('log-follow')).toBeChecked();
    expect(drawn().at(-1)).toHaveTextContent('part 4999.cpp');
  });

  it('has no gaps where its lines are higher than a row', async () => {
    layOut();
    await open(long(5_000));
    const number = (line: HTMLElement) => Number(/\d+/.exec(line.textContent ?? '')?.[0]);
    vi.spyOn(HTMLElement.prototype, 'offsetTop', 'get').mockImplementation(function (
      this: HTMLElement,
    ) {
      const space = this.parentElement?.querySelector('div')?.style.height ?? '';
      const before = Math.round(parseFloat(space) / LINE_EM);
      return (before + 2 * (number(this) - before)) * ROW;
    });
    for (const line of [4_700, 4_600, 3_000, 3_190, 3_400, 100, 0]) {
      await scrollTo(line);
      const [first, last] = [drawn()[0]!, drawn().at(-1)!];
      expect(first.offsetTop, `${line}`).toBeLessThanOrEqual(log().scrollTop);
      expect(last.offsetTop, `${line}`).toBeGreaterThanOrEqual(log().scrollTop + 14 * ROW);
    }
  });

  it('keeps the match and what is read while it grows, and follows again', async () => {
    layOut();
    const backend = await open(long(5_000));
    const grow = (count: number, firstLine: number) => {
      const lines = Array.from({ length: count }, (_, n) => `fresh ${firstLine + n}`);
      backend.emit({ kind: 'buildOutput', device: building.id, update: 900, firstLine, lines });
    };
    const search = screen.getByTestId('log-search');
    search.focus();
    await fireEvent.input(search, { target: { value: 'part 3000.' } });
    expect(here()).toBe('Compiling part 3000.cpp');
    grow(1_000, 5_000);
    await waitFor(() => expect(log()).toHaveTextContent('1000 earlier lines'));
    expect(here()).toBe('Compiling part 3000.cpp');
    expect(drawn().length).toBe(DRAWN);
    await user.keyboard('{Escape}');
    expect(screen.getByTestId('log-follow')).not.toBeChecked();
    await user.click(screen.getByTestId('log-follow'));
    expect(drawn().at(-1)).toHaveTextContent('fresh 5999');
    grow(1, 6_000);
    await waitFor(() => expect(drawn().at(-1)).toHaveTextContent('fresh 6000'));
  });

  it('is copied whole', async () => {
    await open(long(5_000));
    await user.click(screen.getByTestId('log-copy'));
    const copied = await navigator.clipboard.readText();
    expect(copied.split('\n')).toHaveLength(5_000);
    expect(copied).toMatch(/^Compiling part 0\.cpp\n/);
  });

  it('is read once, however often it grows', () => {
    const folded = new Folded();
    const lines = ['\u001b[31mFAILED\u001b[0m', 'ok'];
    expect(folded.of(lines)).toEqual(['failed', 'ok']);
    const split = vi.spyOn(String.prototype, 'split');
    expect(findLines(folded.of([...lines, 'failed too']), 'Failed')).toEqual([0, 2]);
    expect(split).toHaveBeenCalledTimes(1);
  });

  it('has few marks in a line, however long', () => {
    const line = 'e'.repeat(20_000);
    const marked = mark([{ text: line, classes: '' }], 'E');
    expect(marked.length).toBeLessThan(50);
    expect(marked.map(({ text }) => text).join('')).toBe(line);
  });

  it.each([
    'plain',
    '\u001b[1;31mred\u001b[0m end',
    'a\u001b[2Kb\rc',
    'x\u001b',
    '\u001b[31',
    'a<b',
  ])('has the same words with and without colours: %j', (line) => {
    const words = ansi.pieces(line).map(({ text }) => text);
    expect(ansi.plain(line)).toBe(words.join(''));
  });
});

describe('the lines that are drawn', () => {
  it('are found by their height; the others are taken for one row', () => {
    const tops = [100, 110, 150];
    expect([0, 95, 100, 149, 150, 175].map((y) => lineAt(y, tops, 10, 10))).toEqual([
      0, 9, 10, 11, 12, 14,
    ]);
  });

  it('go along near their ends only', () => {
    expect(windowAround([1_000, 1_016], 900, 7, 5_000)).toBe(900);
    expect(windowAround([920, 936], 900, 7, 5_000)).toBe(828);
    expect(windowAround([10, 26], 7, 7, 5_000)).toBe(7);
    expect(windowAround([4_990, 5_006], 7, 7, 5_000)).toBe(5_000 - DRAWN);
  });
});
