/** Where Wakeflash works: asked at the first start, changed in the settings, and said while there is no connection. */
import { screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { FakeBackend } from '../src/lib/backend/fake';
import { CLICKS, expectAccessible, show, story } from './helpers';

const user = userEvent.setup(CLICKS);

async function test(name: string): Promise<void> {
  const input = screen.getByTestId('place-input');
  await user.clear(input);
  await user.type(input, `${name}{Enter}`);
}

async function says(code: string): Promise<void> {
  await waitFor(() => expect(screen.getByTestId('place-result')).toHaveTextContent(code));
}

async function away(backend: FakeBackend, since: number | null, code: string): Promise<void> {
  const answer = await backend.ask({ cmd: 'snapshot' });
  if (answer.status === 'error') throw new Error(answer.error.message);
  const problem = { code, message: `It is ${code}.`, help: null };
  const place = { name: 'sam@box', away: { since, problem } };
  backend.emit({ kind: 'status', status: { ...answer.data.status, place } });
}

describe('the first start', () => {
  it('asks where Wakeflash should work, and works on a box after a test', async () => {
    const backend = await show('first-run');
    const page = screen.getByTestId('first-run');
    expect(page).toHaveTextContent('Where should Wakeflash work?');
    expect(screen.getByTestId('place-here')).toBeChecked();
    expect(screen.getByTestId('config-dir-input')).toBeInTheDocument();
    await user.click(screen.getByTestId('place-box'));
    expect(screen.queryByTestId('config-dir-input')).toBeNull();
    await test('sam@box');
    await waitFor(() => expect(page).toHaveTextContent('Wakeflash 0.1.0 runs there.'));
    await expectAccessible(page);
    await user.click(screen.getByTestId('place-work'));
    expect(backend.calls).toEqual(['workAt sam@box']);
  });

  it('says each thing that is wrong, and what can be done about it', async () => {
    const backend = await show('first-run');
    await user.click(screen.getByTestId('place-box'));
    await test('nobody');
    await says('remote.no_host');
    expect(screen.queryByTestId('place-work')).toBeNull();

    await test('stranger');
    await waitFor(() => expect(screen.getByTestId('place-trust')).toBeInTheDocument());
    expect(screen.getByTestId('place-result')).toHaveTextContent('ED25519 SHA256:abc');
    expect(backend.calls).toEqual([]);
    await user.click(screen.getByTestId('place-trust'));
    await says('runs there');
    expect(backend.calls).toEqual(['trustHost stranger SHA256:abc']);

    await test('idle');
    await waitFor(() => expect(screen.getByTestId('place-start')).toBeInTheDocument());
    await user.click(screen.getByTestId('place-start'));
    await says('runs there');
    expect(backend.calls.at(-1)).toBe('startService idle');
  });
});

describe('the settings', () => {
  it('switch between places that are remembered', async () => {
    const info = { ...story('demo').info, place: 'box', places: ['box', 'sam@nas'] };
    const backend = await show('demo', { info });
    await user.click(screen.getByTestId('open-settings'));
    expect(screen.getByTestId('place-at-box')).toBeChecked();
    await user.click(screen.getByTestId('place-at-sam@nas'));
    await user.click(screen.getByTestId('place-here'));
    expect(backend.calls).toEqual(['workAt sam@nas', 'workAt here']);
    await user.click(screen.getByRole('button', { name: 'Forget sam@nas' }));
    expect(backend.calls.at(-1)).toBe('forgetPlace sam@nas');
  });
});

describe('without a connection', () => {
  it('it is said since when, and what can’t be done is disabled', async () => {
    const backend = await show('demo');
    await away(backend, Date.now() - 60_000, 'remote.cut');
    const banner = await screen.findByTestId('banner-away');
    expect(banner).toHaveTextContent('No connection to sam@box since');
    await expectAccessible(banner);
    expect(screen.getByTestId('update-all')).toBeDisabled();
    expect(screen.getByTestId('pause')).toBeDisabled();
    await user.click(screen.getByTestId('away-reconnect'));
    expect(backend.calls).toEqual(['reconnect']);
    await away(backend, null, 'remote.no_service');
    await user.click(await screen.findByTestId('away-start'));
    expect(backend.calls.at(-1)).toBe('startService sam@box');
  });

  it('and with one, files of the box aren’t opened here', async () => {
    const backend = await show('demo');
    await away(backend, null, 'remote.cut');
    await screen.findByTestId('banner-away');
    await user.click(screen.getByTestId('open-settings'));
    await waitFor(() => expect(screen.queryByTestId('config-dir-browse')).toBeNull());
    expect(screen.getByTestId('settings')).toHaveTextContent('That of sam@box.');
  });
});
