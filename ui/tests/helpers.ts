import { render, screen } from '@testing-library/svelte';
import { PointerEventsCheckLevel } from '@testing-library/user-event';
import axe from 'axe-core';
import { expect } from 'vitest';
import { FakeBackend, stories } from '../src/lib/backend/fake';
import type { Story } from '../src/lib/backend/fake/stories';
import Root from '../src/Root.svelte';

/** Where the window keeps where the user was. */
const VIEW = 'wakeflash.view';

export function story(name: string, change: Partial<Story> = {}): Story {
  const make = stories[name];
  if (!make) throw new Error(`there is no story ${name}`);
  return { ...make(), ...change };
}

/** Whether a click would go through is a matter of styles, and looking that up at every click takes long. */
export const CLICKS = { pointerEventsCheck: PointerEventsCheckLevel.Never };

/** The same story with one of its devices: what looks at everything in the page is done sooner. */
export function only(name: string, id: string): Partial<Story> {
  return { devices: story(name).devices.filter((device) => device.id === id) };
}

/** Shows the whole window on a story, on one of its pages. */
export async function show(
  name: string,
  change: Partial<Story> = {},
  page: 'home' | 'devices' = 'devices',
): Promise<FakeBackend> {
  if (localStorage.getItem(VIEW) === null) localStorage.setItem(VIEW, JSON.stringify({ page }));
  const backend = new FakeBackend(story(name, change));
  render(Root, { backend });
  await expect.poll(() => screen.queryByText('Starting…')).toBeNull();
  return backend;
}

export function row(id: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(
    `[data-testid=device-row][data-device="${id}"]`,
  );
  if (!found) throw new Error(`there is no row ${id}`);
  return found;
}

export function inside(element: Element, testid: string): HTMLElement {
  const found = element.querySelector<HTMLElement>(`[data-testid=${testid}]`);
  if (!found) throw new Error(`there is no ${testid}`);
  return found;
}

/**
 * Nothing that axe objects to, in the part that a test is about: it takes long where there is no browser. What needs
 * colours or a layout, and every screen as a whole, is judged in WebKit: `npm run screenshots -- --check`.
 */
export async function expectAccessible(part: Element = document.body): Promise<void> {
  const off = { enabled: false };
  const { violations } = await axe.run(part, {
    resultTypes: ['violations'],
    preload: false,
    rules: { 'color-contrast': off, 'target-size': off, 'scrollable-region-focusable': off },
  });
  const told = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`);
  expect(told).toEqual([]);
}
