/** Questions say what is true when they are answered, and refusals are all told. */
import { screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DeviceView, Problem, UpdateStateView } from '../src/lib/backend';
import type { FakeBackend } from '../src/lib/backend/fake';
import { device, update, withActions } from '../src/lib/backend/fake/devices';
import { CLICKS, expectAccessible, inside, row, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const since = 0;
const flashing: UpdateStateView = { kind: 'flashing', since, address: '10.0.0.7' };
const confirming: UpdateStateView = { kind: 'confirming', since, acknowledged: true };
const waiting: UpdateStateView = { kind: 'waiting', since, mayHaveArrived: false };
const installed: UpdateStateView = { kind: 'installed', at: 0, how: 'confirmed', watched: false };
const held: UpdateStateView = {
  kind: 'held',
  changes: [{ path: 'a.yaml', kind: 'edited' }],
  mayHaveArrived: false,
};

function devicesIn(states: UpdateStateView[]): DeviceView[] {
  return states.map((state, n) => device(`D${n}`, { update: update(state, { id: 100 + n }) }));
}

function becomes(backend: FakeBackend, one: DeviceView, state: UpdateStateView, id?: number): void {
  const now = { ...one.update!, state, ...(id === undefined ? {} : { id }) };
  backend.emit({ kind: 'device', device: withActions({ ...one, update: now }) });
}

const question = () => screen.findByRole('alertdialog');
const closed = () => waitFor(() => expect(screen.queryByRole('alertdialog')).toBeNull());

async function askToCancelAll(states: UpdateStateView[]): Promise<[FakeBackend, DeviceView[]]> {
  const devices = devicesIn(states);
  const backend = await show('quiet', { devices });
  for (const { id } of devices) await user.click(inside(row(id), 'select'));
  await user.click(screen.getByTestId('bulk-cancel'));
  return [backend, devices];
}

describe('cancelling many', () => {
  it.each<[string, UpdateStateView[], RegExp]>([
    ['that wait', [waiting, held], /^\s*The devices keep their firmware\.\s*$/],
    [
      'of which one is sent',
      [waiting, flashing],
      /^\s*1 running transfer is cut short.*unless all of the new one has just arrived\.\s*The other device keeps/,
    ],
    [
      'of all kinds',
      [waiting, waiting, flashing, flashing, confirming],
      /^\s*2 running transfers are .*unless.*\s*1 device may already run .*\s*The other 2 devices keep/,
    ],
    [
      'that were all sent',
      [confirming, confirming],
      /^\s*2 devices may already run .* take it back\.\s*$/,
    ],
  ])('promises nothing untrue of those %s', async (_, states, words) => {
    await askToCancelAll(states);
    expect((await question()).querySelector('.dialog-body')?.textContent).toMatch(words);
  });

  it('cancels those that are not over when it is answered', async () => {
    const [backend, devices] = await askToCancelAll([flashing, waiting, flashing]);
    expect(await question()).toHaveTextContent('Cancel 3 updates?');
    becomes(backend, devices[0]!, confirming);
    becomes(backend, devices[2]!, installed);
    await waitFor(async () =>
      expect(await question()).toHaveTextContent(/Cancel 2 updates\?\s*1 device may already run/),
    );
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['cancel d0.yaml', 'cancel d1.yaml']));
  });

  it('ends with the last of them', async () => {
    const [backend, devices] = await askToCancelAll([flashing]);
    await question();
    becomes(backend, devices[0]!, installed);
    await closed();
    expect(await screen.findByText('Nothing was cancelled: these updates are over.')).toBeVisible();
    expect(backend.calls).toEqual([]);
  });
});

describe('a question about one update', () => {
  async function asked(state: UpdateStateView, button: string) {
    const devices = devicesIn([state]);
    const backend = await show('quiet', { devices });
    await user.click(inside(row('d0.yaml'), button));
    return { backend, one: devices[0]!, shown: await question() };
  }

  it('follows the update', async () => {
    const { backend, one, shown } = await asked(flashing, 'primary-action');
    expect(shown).toHaveTextContent(/Cancel the running transfer\?.*unless all of the new one/);
    becomes(backend, one, confirming);
    await waitFor(() => expect(shown).toHaveTextContent('the device may run it'));
    expect(shown).not.toHaveTextContent('keeps its firmware');
    // It is sent once more, as nobody knows what became of the image.
    becomes(backend, one, { ...waiting, mayHaveArrived: true });
    await waitFor(() => expect(row('d0.yaml').dataset.state).toBe('waiting'));
    expect(shown).toHaveTextContent('the device may run it');
    becomes(backend, one, { ...waiting, mayHaveArrived: false });
    await waitFor(() => expect(shown).toHaveTextContent('Nothing is being sent to D0'));
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['cancel d0.yaml']));
  });

  it('is asked of what a menu was opened for, as it is by then', async () => {
    const devices = devicesIn([waiting]);
    const backend = await show('quiet', { devices });
    await user.click(inside(row('d0.yaml'), 'row-menu'));
    const cancel = await screen.findByTestId('menu-cancel');
    becomes(backend, devices[0]!, flashing);
    await waitFor(() => expect(row('d0.yaml').dataset.state).toBe('flashing'));
    await user.click(cancel);
    expect(await question()).toHaveTextContent('Cancel the running transfer?');
    expect(backend.calls).toEqual([]);
  });

  it.each<[string, UpdateStateView, number?]>([
    ['over', installed],
    ['another one', { kind: 'queued', ahead: 0, again: null }, 999],
  ])('closes when that is %s', async (_, state, id) => {
    const { backend, one } = await asked(flashing, 'primary-action');
    becomes(backend, one, state, id);
    await closed();
    expect(screen.getByTestId('notice')).toHaveTextContent('the update of D0 is over');
    expect(backend.calls).toEqual([]);
  });

  it('closes when it is no longer held', async () => {
    const { backend, one, shown } = await asked(held, 'secondary-action');
    expect(shown).toHaveTextContent('a.yaml changed since');
    becomes(backend, one, {
      kind: 'held',
      changes: [{ path: 'b.yaml', kind: 'removed' }],
      mayHaveArrived: false,
    });
    await waitFor(() => expect(shown).toHaveTextContent('b.yaml was removed since'));
    becomes(backend, one, { kind: 'building', since });
    await closed();
    expect(screen.getByTestId('notice')).toHaveTextContent('D0 is no longer held');
    expect(backend.calls).toEqual([]);
  });
});

describe('what is refused for many', () => {
  async function refuse(states: UpdateStateView[], problems: (n: number) => Problem) {
    const [backend, devices] = await askToCancelAll(states);
    const data = devices.map(({ id }, n) => ({ device: id, problem: problems(n) }));
    backend.cancel_many = async () => ({ status: 'ok', data });
    await user.click(await screen.findByTestId('confirm-yes'));
    return screen.findAllByTestId('problem');
  }
  const many = Array.from({ length: 12 }, () => waiting);
  const full: Problem = { code: 'store.full', message: 'The disk is full.', help: 'Free some.' };
  const named = (n: number): Problem => ({
    code: 'update.none',
    message: `d${n}.yaml has none.`,
    help: null,
  });

  it('is told once, with all of the names', async () => {
    const problems = await refuse(many, () => full);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toHaveTextContent(/^12 devices: The disk is full\. ?Free some\./);
    expect(problems[0]!.querySelectorAll('li')).toHaveLength(0);
    await user.click(screen.getByText('Which devices'));
    await waitFor(() => expect(problems[0]!.querySelectorAll('li')).toHaveLength(12));
    expect(problems[0]).toHaveTextContent('D11');
    await expectAccessible(problems[0]);
  });

  it('is told by its causes, however many, with what is said of each device', async () => {
    const problems = await refuse(many, (n) =>
      n < 2 ? named(n) : { ...full, code: `area.${n}`, message: `Cause ${n}.` },
    );
    expect(problems).toHaveLength(11);
    expect(problems[0]).toHaveTextContent('Not done for 2 devices');
    await user.click(screen.getByText('Which devices'));
    await waitFor(() => expect(problems[0]).toHaveTextContent('D1: d1.yaml has none.'));
    expect(problems[10]).toHaveTextContent('D11: Cause 11.');
    await user.click(screen.getByTestId('dismiss-all'));
    expect(screen.queryByTestId('problem')).toBeNull();
  });

  it('keeps the names in German', async () => {
    const settings = { ...story('quiet').settings, language: 'de' as const };
    const devices = devicesIn([waiting]);
    const backend = await show('quiet', { devices, settings });
    const problem = { ...full, message: 'This can’t be saved: the disk is full.' };
    backend.cancel_many = async () => ({ status: 'ok', data: [{ device: 'd0.yaml', problem }] });
    await user.click(inside(row('d0.yaml'), 'select'));
    await user.click(screen.getByTestId('bulk-cancel'));
    await user.click(await screen.findByTestId('confirm-yes'));
    expect(await screen.findByTestId('problem')).toHaveTextContent(/^D0: /);
  });
});

describe('the plan of an installation', () => {
  it('draws the names of a thousand devices when they are asked for', async () => {
    await show('many');
    await user.click(screen.getByTestId('update-all'));
    await screen.findByTestId('plan-sum');
    const dialog = screen.getByTestId('install-dialog');
    expect(dialog.querySelectorAll('li').length).toBe(0);
    await user.click(dialog.querySelector('summary')!);
    await waitFor(() => expect(dialog.querySelectorAll('li').length).toBeGreaterThan(10));
  });
});
