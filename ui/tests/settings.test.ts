/** The settings, the first start, and what is said of the application as a whole. */
import { screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { CLICKS, expectAccessible, inside, row, show, story } from './helpers';

const user = userEvent.setup(CLICKS);

describe('settings', () => {
  it('are shown, and what is changed is sent, and nothing else', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    expect(screen.getByTestId('esphome-state')).toHaveTextContent('ESPHome 2026.10.0');
    await expectAccessible(screen.getByTestId('settings'));
    await user.click(screen.getByTestId('settings-changed-rebuild'));
    await user.click(screen.getByTestId('settings-notify-installed'));
    await user.click(screen.getByTestId('settings-start-at-login'));
    const sent = backend.calls.map((call) => JSON.parse(call.replace('changeSettings ', '')));
    expect(sent).toEqual([
      { changedSources: 'rebuild' },
      { notify: { installed: false, failed: true, held: true, overdue: true } },
      { startAtLogin: true },
    ]);
    await user.click(screen.getByTestId('settings-back'));
    expect(screen.getByTestId('summary')).toBeInTheDocument();
  });

  it('name a shared compiler cache, or say why an address is none', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    const field = screen.getByTestId('settings-cache');
    expect(screen.queryByTestId('settings-cache-apply')).toBeNull();
    await user.type(field, 'server');
    await user.click(screen.getByTestId('settings-cache-apply'));
    expect(await screen.findByText(/no address of a shared compiler cache/)).toBeInTheDocument();
    expect(field).toHaveAttribute('aria-invalid', 'true');
    await user.clear(field);
    await user.type(field, 'http://server:8080/cache{Enter}');
    await waitFor(() => expect(screen.queryByTestId('settings-cache-apply')).toBeNull());
    expect(field).toHaveValue('http://server:8080/cache');
    await user.clear(field);
    await user.click(screen.getByTestId('settings-cache-apply'));
    await waitFor(() => expect(screen.queryByTestId('settings-cache-apply')).toBeNull());
    const sent = backend.calls.map((call) => JSON.parse(call.replace('changeSettings ', '')));
    expect(sent.map(({ compilerCache }) => compilerCache)).toEqual([
      'server',
      'http://server:8080/cache',
      null,
    ]);
  });

  it('say which ESPHome is used, and installing Wakeflash’s own chooses that', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    const own = screen.getByTestId('settings-esphome-use-own');
    const automatic = screen.getByTestId('settings-esphome-use-automatic');
    expect(automatic).toBeChecked();
    expect(screen.getByTestId('settings')).toHaveTextContent(
      'Detected automatically: /usr/local/bin/esphome',
    );
    await user.click(screen.getByTestId('esphome-upgrade'));
    expect(backend.calls).toEqual(['installEsphome']);
    await waitFor(() => expect(own).toBeChecked(), { timeout: 10_000 });
    expect(screen.getByTestId('esphome-state')).toHaveTextContent('esphome-1/bin/esphome');
    const sent = () => JSON.parse(backend.calls.at(-1)?.replace('changeSettings ', '') ?? '');
    await user.click(automatic);
    expect(sent()).toEqual({ ownEsphome: false, esphomePath: null });
    await user.click(own);
    expect(sent()).toEqual({ ownEsphome: true });
    // Nothing is changed before the path is entered.
    await user.click(screen.getByTestId('settings-esphome-use-path'));
    expect(sent()).toEqual({ ownEsphome: true });
    await user.type(screen.getByTestId('settings-esphome-path'), '/opt/esphome{Enter}');
    await waitFor(() => expect(sent()).toEqual({ ownEsphome: false, esphomePath: '/opt/esphome' }));
    await waitFor(() => expect(own).not.toBeChecked());
    expect(screen.getByTestId('settings-esphome-use-path')).toBeChecked();
  });

  it('and a banner say what is wrong with an ESPHome that goes on building', async () => {
    const gone = {
      code: 'esphome.own_gone',
      message: 'Wakeflash’s own ESPHome is gone.',
      help: 'Install it again.',
    };
    const ready = { kind: 'ready', path: '/usr/bin/esphome', version: '2026.9.0' } as const;
    const status = { ...story('demo').status, esphome: { ...ready, problem: gone } };
    const backend = await show('demo', { status });
    const banner = await screen.findByTestId('banner-esphome');
    expect(banner).toHaveTextContent(
      /is gone.*Install it again.*ESPHome 2026.9.0 is used meanwhile/,
    );
    await expectAccessible(banner);
    await user.click(screen.getByTestId('banner-esphome-find'));
    expect(backend.calls).toEqual(['findEsphome']);
    await user.click(screen.getByTestId('banner-esphome-settings'));
    expect(screen.getByTestId('esphome-problem')).toHaveTextContent(/is gone.*Install it again/);
    expect(screen.queryByTestId('banner-esphome')).toBeNull();
  });

  it('of a demo leave the session of the user alone', async () => {
    await show('demo', { info: { ...story('demo').info, demo: true } });
    await user.click(screen.getByTestId('open-settings'));
    expect(screen.queryByTestId('settings-start-at-login')).toBeNull();
  });

  it('says beside the field why a folder is refused', async () => {
    await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    const input = screen.getByTestId('config-dir-input');
    await user.clear(input);
    await user.type(input, 'esphome{Enter}');
    expect(await screen.findByTestId('config-dir-problem')).toHaveTextContent('is not there');
  });
});

describe('the first run', () => {
  it('offers the usual places, then shows the devices', async () => {
    const backend = await show('first-run');
    expect(await screen.findAllByTestId('config-dir-candidate')).toHaveLength(2);
    expect(screen.getByTestId('first-run')).toHaveTextContent('17 devices');
    expect(screen.getByTestId('config-dir-input')).toHaveValue('/home/sam/esphome');
    await expectAccessible();
    await user.click(screen.getByTestId('config-dir-confirm'));
    expect(backend.calls[0]).toContain('"configDir":"/home/sam/esphome"');
    await waitFor(() => expect(screen.getAllByTestId('device-row').length).toBeGreaterThan(10));
  });

  it('works without any usual place and without ESPHome', async () => {
    const backend = await show('first-run-bare');
    expect(await screen.findByText(/No YAML files in the usual places/)).toBeInTheDocument();
    expect(screen.getByTestId('config-dir-confirm')).toBeDisabled();
    await user.click(screen.getByTestId('esphome-install'));
    expect(backend.calls).toEqual(['installEsphome']);
    await expectAccessible();
  });
});

describe('trouble', () => {
  it('is said in banners, with what it means and what to do', async () => {
    await show('trouble');
    // Several are one line, until they are asked for.
    const bar = screen.getByTestId('banner-problems');
    expect(bar).toHaveTextContent(/6 problems ?Changes can’t be saved · .* · mDNS port is taken/);
    expect(screen.queryByTestId('banner-store')).toBeNull();
    await user.click(screen.getByTestId('banner-unfold'));
    const banners: [string, RegExp][] = [
      ['banner-store', /Nothing new is started until/],
      ['banner-config-dir', /Updates that wait keep waiting/],
      ['banner-esphome', /ESPHome was not found/],
      ['banner-network', /port 5353/],
      ['banner-store-warning', /set aside/],
      ['banner-other-tool', /Device Builder has an update/],
    ];
    for (const [id, words] of banners) expect(screen.getByTestId(id)).toHaveTextContent(words);
    await expectAccessible(screen.getByTestId('banner-store').parentElement ?? undefined);
    await user.click(screen.getByTestId('banner-esphome-path'));
    expect(screen.getByRole('heading', { name: 'ESPHome' })).toHaveFocus();
    expect(screen.queryByTestId('banner-esphome'), 'it is said there').toBeNull();
    expect(screen.getByTestId('esphome-state')).toHaveTextContent(/ESPHome was not found/);
  });

  it('that a banner tells is not told a second time', async () => {
    await show('trouble');
    await user.click(inside(row('pond-level.yaml'), 'primary-action'));
    expect(await screen.findByTestId('banner-store')).toHaveTextContent('can’t be saved');
    expect(screen.queryByTestId('problem')).toBeNull();
    expect(screen.getByTestId('notice')).toHaveTextContent('Not done: Changes can’t be saved');
  });

  it('of a computer without a network claims nothing about watching it', async () => {
    await show('no-network');
    const banner = screen.getByTestId('banner-network');
    expect(banner).toHaveTextContent(/No network.*go on when the network is back\.$/);
    expect(banner).not.toHaveTextContent(/noticed late|watched/);
  });

  it('shows the installation of ESPHome', async () => {
    await show('installing-esphome');
    expect(screen.getByTestId('banner-esphome')).toHaveTextContent('14 of 62 packages');
  });

  it('says why the application could not start', async () => {
    await show('start-problem');
    expect(await screen.findByTestId('start-problem')).toHaveTextContent('Start the newer version');
    await expectAccessible();
  });

  it('offers the last backup for a damaged database, with what it holds and what is lost', async () => {
    const backend = await show('damaged');
    const problem = await screen.findByTestId('start-problem');
    expect(problem).toHaveTextContent(/last good backup is from/);
    expect(problem).toHaveTextContent('17 devices, and 2 updates are under way');
    expect(problem).toHaveTextContent('1 device that an update was asked for since');
    expect(problem).not.toHaveTextContent('Nothing was changed');
    await expectAccessible();
    await user.click(screen.getByTestId('start-empty'));
    await user.click(await screen.findByTestId('confirm-no'));
    expect(backend.calls).not.toContain('mendStore startEmpty');
    await user.click(screen.getByTestId('restore-backup'));
    expect(backend.calls).toContain('mendStore restoreBackup');
    expect(problem).toHaveTextContent('starts again');
  });
});
