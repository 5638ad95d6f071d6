/** What the drawer asks the application for, and what it makes of the answers. */
import { screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { tick } from 'svelte';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer, Envelope, WakeRecord } from '../src/lib/backend';
import { FakeBackend } from '../src/lib/backend/fake';
import { device, progress, update } from '../src/lib/backend/fake/devices';
import { problems } from '../src/lib/backend/fake/problems';
import { Details } from '../src/lib/builds/details.svelte';
import { HEIGHT, plotOf } from '../src/lib/devices/wakes';
import { Store } from '../src/lib/shared/store.svelte';
import { CLICKS, expectAccessible, inside, row, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const building = device('One', { update: update({ kind: 'building', since: 0 }, { id: 900 }) });
const settled = () => new Promise((done) => setTimeout(done, 120));

async function openTab(tab: 'update' | 'history' | 'device') {
  const backend = await show('quiet', { devices: [building, device('Two')] });
  const asked = {
    details: vi.spyOn(backend, 'details'),
    history: vi.spyOn(backend, 'history'),
    wakes: vi.spyOn(backend, 'wakes'),
  };
  await user.click(inside(row('one.yaml'), 'open-details'));
  await user.click(screen.getByTestId(`tab-${tab}`));
  const needed = { update: asked.details, history: asked.history, device: asked.wakes }[tab];
  await waitFor(() => expect(needed).toHaveBeenCalled());
  await settled();
  return { backend, asked };
}

describe('the drawer', () => {
  it('asks whose device it is when two files give theirs one name', async () => {
    const devices = [device('One', { problem: problems.sameName }), device('Two')];
    const backend = await show('quiet', { devices });
    await user.click(inside(row('one.yaml'), 'open-details'));
    await user.click(await screen.findByTestId('choose-config'));
    expect(backend.calls).toContain('chooseConfig one.yaml');
    await waitFor(() => expect(screen.queryByTestId('choose-config')).toBeNull());
  });

  it('shows by which hardware a board comes that copies the MAC address', async () => {
    const mac = '02:00:00:00:00:0a';
    const rival = {
      mac,
      linkAddress: '02:00:00:00:00:0d',
      address: '192.0.2.13',
      version: null,
      configHash: null,
      at: Date.now(),
    };
    const backend = await show('quiet', { devices: [device('One', { mac, rival })] });
    await user.click(inside(row('one.yaml'), 'open-details'));
    const shown = await screen.findByTestId('rival');
    expect(shown).toHaveTextContent('behind network hardware 02:00:00:00:00:0d');
    expect(shown).toHaveTextContent('Both give the same MAC address');
    await user.click(screen.getByTestId('accept-board'));
    expect(backend.calls).toContain('acceptBoard one.yaml');
  });

  it('has its neighbours beside it, and says by which key they come', async () => {
    await show('quiet', { devices: [device('One'), device('Two')] });
    await user.click(inside(row('one.yaml'), 'open-details'));
    const [previous, next] = ['previous', 'next'].map(
      (one) => () => screen.getByTestId(`drawer-${one}`),
    );
    expect(previous!()).toBeDisabled();
    expect(previous!().dataset.tip).toBe('Previous device (K)');
    expect(next!().dataset.tip).toBe('Next device (J)');
    await user.click(next!());
    await waitFor(() => expect(screen.getByTestId('drawer').dataset.device).toBe('two.yaml'));
    expect(next!()).toBeDisabled();
    await user.click(previous!());
    await waitFor(() => expect(screen.getByTestId('drawer').dataset.device).toBe('one.yaml'));
  });

  it('says of a device that is overdue what is known, and what to try', async () => {
    const ids = ['cellar-leak-sensor.yaml', 'garden-soil-sensor.yaml'];
    const devices = story('demo').devices.filter(({ id }) => ids.includes(id));
    await show('demo', { devices });
    await user.click(inside(row(ids[0]!), 'open-details'));
    const why = screen.getByTestId('overdue');
    await waitFor(() =>
      expect(why).toHaveTextContent(/Last wakes: (.+ for \d+.s, ){2}.+ for \d+.s\./),
    );
    expect(why).toHaveTextContent(/Expected at .+, 19.h ago\./);
    expect(why).toHaveTextContent('Last heard 1 day ago, at 192.168.7.77.');
    expect(why).toHaveTextContent(/It usually wakes every 12.h\./);
    await expectAccessible(why);
    await user.click(screen.getByTestId('overdue-address'));
    expect(await screen.findByTestId('address-dialog')).toBeInTheDocument();
    await user.keyboard('{Escape}');
    await user.click(inside(row(ids[1]!), 'open-details'));
    await waitFor(() => expect(screen.getByTestId('drawer').dataset.device).toBe(ids[1]));
    expect(screen.queryByTestId('overdue')).toBeNull();
  });

  it.each(['details', 'history', 'wakes'] as const)(
    'asks for %s once, whatever else changes',
    async (what) => {
      const tab = { details: 'update', history: 'history', wakes: 'device' } as const;
      const { backend, asked } = await openTab(tab[what]);
      expect(asked[what]).toHaveBeenCalledTimes(1);
      const at = { device: building.id, update: 900 };
      for (let n = 0; n < 20; n += 1) {
        backend.emit({ kind: 'progress', ...at, progress: progress(n, 'Compiling') });
        const other = device('Two', { presence: n % 2 ? 'online' : 'asleep', lastSeen: n });
        backend.emit({ kind: 'device', device: other });
        backend.emit({ kind: 'device', device: { ...building, lastSeen: n } });
        if (n % 5 === 0) await settled();
      }
      await settled();
      expect(asked[what]).toHaveBeenCalledTimes(1);
    },
  );

  it('follows a log only while that is looked at', async () => {
    const { backend, asked } = await openTab('device');
    const before = asked.details.mock.calls.length;
    const waiting = update({ kind: 'waiting', since: 0, mayHaveArrived: false }, { id: 900 });
    backend.emit({ kind: 'device', device: { ...building, update: waiting } });
    await settled();
    expect(asked.details).toHaveBeenCalledTimes(before);
    await user.click(screen.getByTestId('tab-update'));
    await waitFor(() => expect(asked.details).toHaveBeenCalledTimes(before + 1));
    await settled();
    expect(asked.details).toHaveBeenCalledTimes(before + 1);
  });
});

describe('the details', () => {
  it('of an update that began while events were missed are asked for once', async () => {
    const idle = device('One');
    const backend = new FakeBackend(story('quiet', { devices: [idle] }));
    const store = new Store(backend);
    let missed: ((envelope: Envelope) => void) | undefined;
    const listen = backend.listen;
    backend.listen = (onEvent) => listen.call(backend, (missed = onEvent));
    await store.start();
    const asked = vi.spyOn(backend, 'details');
    const details = new Details(backend, store, idle);
    const snapshot = await backend.ask({ cmd: 'snapshot' });
    if (snapshot.status === 'error') throw new Error();
    const now = { ...snapshot.data, revision: 50, devices: [building] };
    backend.snapshot = async () => ({ status: 'ok', data: now });
    backend.details = asked.mockResolvedValue({
      status: 'ok',
      data: {
        update: building.update!,
        timeline: [],
        log: { firstLine: 0, lines: ['built'], path: null },
      },
    });
    missed?.({ revision: 50, event: { kind: 'device', device: device('Two') } });
    await expect.poll(() => details.lines).toEqual(['built']);
    missed?.({ revision: 51, event: { kind: 'device', device: building } });
    await settled();
    expect(asked).toHaveBeenCalledTimes(1);
    details.stop();
    store.stop();
  });
});

describe('the wakes', () => {
  const wake = (at: number, awakeSeconds: number | null): WakeRecord => ({
    at,
    awakeSeconds,
    flashed: false,
  });

  it('are asked for again after a wake; only the last answer counts', async () => {
    const { backend, asked } = await openTab('device');
    const answers: ((answer: Answer<WakeRecord[]>) => void)[] = [];
    asked.wakes.mockImplementation(() => new Promise((done) => answers.push(done)));
    for (const [before, presence] of (['online', 'asleep'] as const).entries()) {
      backend.emit({ kind: 'device', device: { ...building, presence } });
      await waitFor(() => expect(answers).toHaveLength(before + 1));
      await settled();
    }
    expect(answers).toHaveLength(2);
    const now = Date.now();
    answers[1]?.({ status: 'ok', data: [wake(now - 60_000, 5), wake(now - 30_000, 20)] });
    answers[0]?.({ status: 'ok', data: [] });
    await tick();
    await waitFor(() => expect(screen.getByTestId('wake-words')).toHaveTextContent('Woke 2 times'));
    expect(screen.getByTestId('wake-words')).toHaveTextContent('awake for about 20 s');
    const titles = [...screen.getByTestId('wake-plot').querySelectorAll('title')];
    expect(titles.map((title) => title.textContent)).toEqual([
      expect.stringMatching(/: awake for 5\ss$/),
      expect.stringMatching(/: awake for 20\ss$/),
    ]);
  });

  it('that cannot be had are told in their place', async () => {
    const { backend, asked } = await openTab('device');
    const error = { code: 'store.read', message: 'The store can’t be read.', help: null };
    asked.wakes.mockResolvedValue({ status: 'error', error });
    for (const presence of ['online', 'asleep', 'online'] as const) {
      backend.emit({ kind: 'device', device: { ...building, presence } });
      await settled();
    }
    await waitFor(() =>
      expect(screen.getByRole('tabpanel')).toHaveTextContent('The store can’t be read.'),
    );
    expect(screen.queryByTestId('problem')).toBeNull();
  });

  it('are as high as they were long', () => {
    const { bars, longest } = plotOf(
      [wake(1, 10), wake(2, 40), wake(3, null), wake(4, 20)],
      null,
      9,
    );
    expect(longest).toBe(40);
    expect(bars.map(({ height }) => height / HEIGHT)).toEqual([0.25, 1, 6 / HEIGHT, 0.5]);
  });
});
