/** Numbers that mean the same are the same, wherever they stand, and each leads to what it counts. */
import { screen, waitFor, within } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import { device, update, wakes } from '../src/lib/backend/fake/devices';
import { CLICKS, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

function numberIn(element: Element): number {
  return Number(/\d+/.exec(element.textContent)?.[0]);
}

/** What is counted on the page, by what it is: the same number each time. */
function counted(): Map<string, number> {
  const seen = new Map<string, number>();
  for (const one of document.querySelectorAll<HTMLElement>('[data-count]')) {
    const what = one.dataset.count ?? '';
    const number = numberIn(one);
    expect(seen.get(what) ?? number, what).toBe(number);
    seen.set(what, number);
  }
  return seen;
}

/** One of each that the headline counts, and some more. */
function everyNumber() {
  const devices = story('demo').devices.filter(({ id }) =>
    /^(garden|rain|pond|bathroom|hallway|mailbox|cellar)/.test(id),
  );
  return [
    ...devices,
    device('New', { lastSeen: null, deployedVersion: null, presence: 'unknown' }),
  ];
}

describe('the numbers', () => {
  it.each(['demo', 'batch', 'unseen', 'paused'])(
    'of the home are those of the devices: %s',
    async (name) => {
      await show(name, {}, 'home');
      const home = counted();
      await user.click(screen.getByTestId('open-devices'));
      const devices = counted();
      expect(devices.get('all')).toBe(story(name).devices.length);
      for (const [what, number] of home) {
        // What is counted seldom has a chip only while it is shown.
        if (devices.has(what)) expect(devices.get(what), what).toBe(number);
        else expect(['unseen', 'untold']).toContain(what);
      }
    },
  );

  it('of the headline lead to what they count', async () => {
    await show('demo', { devices: everyNumber() }, 'home');
    for (const part of ['attention', 'waiting']) {
      const link = screen.getByTestId(`headline-${part}`);
      await user.click(link);
      const heading = document.activeElement as HTMLElement;
      expect(heading.id).toBe(`home-${part}`);
      expect(numberIn(heading)).toBe(numberIn(link));
    }
    for (const filter of ['available', 'unseen']) {
      const link = screen.getByTestId(`headline-${filter}`);
      const number = numberIn(link);
      await user.click(link);
      expect(screen.getAllByTestId('device-row'), filter).toHaveLength(number);
      expect(numberIn(screen.getByTestId(`summary-${filter}`)), filter).toBe(number);
      await user.click(screen.getByTestId('open-home'));
    }
    await user.click(screen.getByTestId('headline-next'));
    const drawer = await screen.findByTestId('drawer');
    const name = within(drawer).getByRole('heading', { level: 2 }).textContent;
    expect(screen.getByTestId('headline-next')).toHaveTextContent(`Next: ${name}`);
  });

  it('of those that have not said their version lead to them', async () => {
    const devices = [device('Told'), device('Untold', { deployedVersion: null })];
    await show('quiet', { devices }, 'home');
    await user.click(screen.getByTestId('headline-untold'));
    const rows = screen.getAllByTestId('device-row').map((one) => one.dataset.device);
    expect(rows).toEqual(['untold.yaml']);
  });

  it('of Update all are those of the headline', async () => {
    await show('demo', { devices: everyNumber() }, 'home');
    const available = numberIn(screen.getByTestId('headline-available'));
    await user.click(screen.getByTestId('update-all'));
    const go = await screen.findByTestId('install-go');
    expect(numberIn(go)).toBe(available);
    const sum = screen.getByTestId('plan-sum').textContent.split(';')[0] ?? '';
    const parts = [...sum.matchAll(/\d+/g)].map(([digits]) => Number(digits));
    expect(parts.reduce((all, one) => all + one, 0)).toBe(available);
  });

  it('of the question before leaving are those of the headline', async () => {
    const waits = () => update({ kind: 'waiting', since: 0, mayHaveArrived: false });
    const devices = [
      device('One', { update: waits() }),
      device('Two', { update: waits() }),
      device('Late', { update: waits(), wake: wakes(60, 90, { overdue: true }) }),
    ];
    const backend = await show('quiet', { devices }, 'home');
    expect(screen.getByTestId('headline-waiting')).toHaveTextContent('2 are waiting');
    expect(screen.getByTestId('headline-attention')).toHaveTextContent('1 needs you');
    backend.requestClose();
    const question = await screen.findByRole('alertdialog');
    await waitFor(() => expect(question).toHaveTextContent('2 updates keep waiting.'));
    expect(question).toHaveTextContent('1 still needs you.');
  });
});
