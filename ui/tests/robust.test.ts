/** What goes wrong between the window and the application, and where the keyboard is afterwards. */
import { fireEvent, screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { completeSettings, type Event, type Settings } from '../src/lib/backend';
import { FakeBackend } from '../src/lib/backend/fake';
import { device, update } from '../src/lib/backend/fake/devices';
import { tauriBackend } from '../src/lib/backend/tauri';
import { Details } from '../src/lib/builds/details.svelte';
import { Projection } from '../src/lib/shared/projection';
import { Store } from '../src/lib/shared/store.svelte';
import { CLICKS, inside, row, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

describe('the keyboard', () => {
  it('goes from the search to what was found', async () => {
    await show('demo');
    await user.keyboard('/mail{Enter}');
    await waitFor(() => expect(inside(row('mailbox.yaml'), 'open-details')).toHaveFocus());
  });

  it('is in the field whose button is done', async () => {
    await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('settings-esphome-use-path'));
    const field = screen.getByTestId('settings-esphome-path');
    await user.type(field, '/opt/esphome');
    screen.getByTestId('settings-esphome-apply').focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.queryByTestId('settings-esphome-apply')).toBeNull());
    await waitFor(() => expect(field).toHaveFocus());
  });

  it('is in the list when the bar of the selection closes', async () => {
    await show('demo');
    inside(row('attic-lights.yaml'), 'open-details').focus();
    await user.keyboard(' ');
    screen.getByTestId('bulk-cancel').focus();
    await user.keyboard('{Escape}');
    await waitFor(() => expect(document.activeElement?.closest('[data-device]')).not.toBeNull());
  });

  it('is on the page when the row that had it is done', async () => {
    await show('demo', {}, 'home');
    const cancel = screen.getAllByTestId('line-cancel').at(-1);
    cancel?.focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.getByTestId('home')).toHaveFocus());
  });
});

describe('settings', () => {
  function slow(backend: FakeBackend, answer: (settings: Settings) => Settings | null) {
    const sent: Parameters<FakeBackend['change_settings']>[0]['change'][] = [];
    const finish: (() => void)[] = [];
    const { settings } = story('demo');
    const set: FakeBackend['change_settings'] = async ({ change }) => {
      sent.push(change);
      await new Promise<void>((done) => finish.push(done));
      const data = answer(completeSettings({ ...settings, ...change }));
      if (data) return { status: 'ok', data };
      return { status: 'error', error: { code: 'autostart.failed', message: 'No.', help: null } };
    };
    backend.change_settings = set;
    return { sent, finish: () => finish.splice(0).forEach((done) => done()) };
  }

  it('that are changed one after the other are both kept', async () => {
    const { sent, finish } = slow(await show('demo'), (settings) => settings);
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('settings-notify-installed'));
    await user.click(screen.getByTestId('settings-notify-held'));
    expect(screen.getByTestId('settings-notify-installed')).not.toBeChecked();
    expect(screen.getByTestId('settings-notify-held')).not.toBeChecked();
    expect(sent).toHaveLength(1);
    finish();
    await waitFor(() => expect(sent).toHaveLength(2));
    expect(sent[1]?.notify).toMatchObject({ installed: false, held: false });
    finish();
    await waitFor(() => expect(screen.getByTestId('settings-notify-held')).not.toBeChecked());
    expect(screen.getByTestId('settings-notify-installed')).not.toBeChecked();
  });

  it('that are refused are not sent with the next change', async () => {
    const refuses = (settings: Settings) => (settings.startAtLogin ? null : settings);
    const { sent, finish } = slow(await show('demo'), refuses);
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('settings-start-at-login'));
    await user.click(screen.getByTestId('settings-notify-held'));
    finish();
    await waitFor(() => expect(sent).toHaveLength(2));
    expect(Object.keys(sent[1] ?? {})).toEqual(['notify']);
    finish();
    await waitFor(() => expect(screen.getByTestId('settings-start-at-login')).not.toBeChecked());
  });

  it('are shown as the application has them, which may correct them', async () => {
    const backend = await show('demo');
    const corrected = (settings: Settings) => ({ ...settings, startAtLogin: false });
    const { sent, finish } = slow(backend, corrected);
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('settings-start-at-login'));
    // Told before the answer: the queue was paused in the tray meanwhile.
    backend.emit({ kind: 'settings', settings: { ...story('demo').settings, paused: true } });
    finish();
    await waitFor(() => expect(screen.getByTestId('settings-start-at-login')).not.toBeChecked());
    await user.click(screen.getByTestId('settings-notify-held'));
    await waitFor(() => expect(sent).toHaveLength(2));
    // What it didn't change doesn't travel: the pause may be over by now.
    expect(Object.keys(sent[1] ?? {})).toEqual(['notify']);
    finish();
  });

  it('that are refused are shown as they are', async () => {
    const { finish } = slow(await show('demo'), () => null);
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('settings-start-at-login'));
    expect(screen.getByTestId('settings-start-at-login')).toBeChecked();
    finish();
    expect(await screen.findByTestId('problem')).toHaveTextContent('No.');
    expect(screen.getByTestId('settings-start-at-login')).not.toBeChecked();
  });
});

describe('the clock', () => {
  it('that is set back holds up nothing', async () => {
    vi.useFakeTimers();
    const one = device('One');
    const backend = new FakeBackend(story('empty', { devices: [one] }));
    const store = new Store(backend);
    await store.start();
    vi.setSystemTime(Date.now() - 3_600_000);
    backend.emit({ kind: 'device', device: { ...one, presence: 'online' } });
    await vi.advanceTimersByTimeAsync(100);
    expect(store.devices[0]?.presence).toBe('online');
    store.stop();
  });
});

describe('the way to the application', () => {
  it('is tried again when not even a subscription is possible', async () => {
    const backend = new FakeBackend(story('empty'));
    const listen = backend.listen;
    backend.listen = vi.fn().mockRejectedValueOnce('no event').mockImplementation(listen);
    const log: string[] = [];
    const projection = new Projection(backend, {
      reset: () => log.push('reset'),
      apply: () => undefined,
      trouble: (problem) => problem && log.push(problem.message),
    });
    void projection.start();
    await expect.poll(() => log, { timeout: 2_000 }).toEqual(['no event', 'reset']);
    projection.stop();
  });

  it('never rejects: what goes wrong is an answer', async () => {
    const answers = ['command plan not found', new Error('gone'), { code: 'a.b', message: 'C.' }];
    const codes = [];
    for (const answer of answers) {
      vi.stubGlobal('__TAURI_INTERNALS__', { invoke: () => Promise.reject(answer) });
      const result = await tauriBackend().ask({ cmd: 'plan', devices: null });
      codes.push(result.status === 'error' ? result.error.code : 'none');
    }
    vi.unstubAllGlobals();
    expect(codes).toEqual(['window.command', 'window.command', 'a.b']);
  });

  it('brings logs of any length, of which the end is kept', async () => {
    const building = device('One', { update: update({ kind: 'building', since: 0 }) });
    const backend = new FakeBackend(story('empty', { devices: [building] }));
    const details = { update: building.update!, timeline: [] };
    const log = { firstLine: 0, lines: ['first'], path: null };
    backend.details = async () => ({ status: 'ok', data: { ...details, log } });
    const store = new Store(backend);
    await store.start();
    const followed = new Details(backend, store, building);
    await expect.poll(() => followed.loaded).toBe(true);
    for (let n = 0; n < 12; n += 1) {
      const lines = Array.from({ length: 500 }, (_, k) => `line ${1 + n * 500 + k}`);
      const at = { device: building.id, update: details.update.id, firstLine: 1 + n * 500 };
      backend.emit({ kind: 'buildOutput', ...at, lines } satisfies Event);
    }
    expect(followed.lines).toHaveLength(5_000);
    expect(followed.lines.at(-1)).toBe('line 6000');
    expect(followed.lines[0]).toBe(`line ${followed.firstLine}`);
    followed.stop();
    store.stop();
  });
});

describe('the window', () => {
  it('takes back that there is no ESPHome when it is found', async () => {
    const status = { ...story('demo').status, esphome: { kind: 'searching' as const } };
    const backend = await show('demo', { status });
    const missing = { code: 'esphome.missing', message: 'ESPHome was not found.', help: null };
    backend.install = () => Promise.resolve({ status: 'error', error: missing });
    await user.click(screen.getAllByText('Install')[0] ?? document.body);
    expect(await screen.findByTestId('problem')).toHaveTextContent('ESPHome was not found.');
    const before = await backend.ask({ cmd: 'snapshot' });
    if (before.status !== 'ok') throw new Error('no snapshot');
    const esphome = { kind: 'ready', version: '2026.10.0', path: '/e', problem: null } as const;
    backend.emit({ kind: 'status', status: { ...before.data.status, esphome } });
    await waitFor(() => expect(screen.queryByTestId('problem')).toBeNull());
  });

  it('keeps the menu of a browser away, but for what can be edited', async () => {
    await show('quiet');
    expect(await fireEvent.contextMenu(screen.getByTestId('summary'))).toBe(false);
    expect(await fireEvent.contextMenu(screen.getByTestId('search'))).toBe(true);
  });
});
