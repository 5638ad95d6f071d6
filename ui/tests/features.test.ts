import { fireEvent, screen, waitFor, within } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { device, update, withActions } from '../src/lib/backend/fake/devices';
import { problems } from '../src/lib/backend/fake/problems';
import { speak } from '../src/lib/i18n/index.svelte';
import { CLICKS, expectAccessible, inside, only, row, show } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));
afterEach(() => speak('en'));

function shown(): string[] {
  return screen.getAllByTestId('device-row').map((one) => one.dataset.device ?? '');
}

async function choose(entry: string): Promise<void> {
  await user.click(await screen.findByTestId(`menu-${entry}`));
}

describe('filters and order', () => {
  it('count and narrow down; Escape takes it back', async () => {
    await show('demo');
    const all = shown().length;
    const filters = { offline: 1, discovered: 2, attention: 5, waiting: 3 };
    for (const [filter, count] of Object.entries(filters)) {
      const chip = screen.getByTestId(`summary-${filter}`);
      expect(chip).toHaveTextContent(String(count));
      await user.click(chip);
      expect(shown(), filter).toHaveLength(count);
      expect(screen.getByText(new RegExp(`^${count} devices? shown$`))).toBeInTheDocument();
    }
    await user.keyboard('{Escape}');
    expect(shown()).toHaveLength(all);
  });

  it('says what a search finds and the filter hides', async () => {
    await show('demo');
    await user.click(screen.getByTestId('summary-attention'));
    await user.type(screen.getByTestId('search'), 'mailbox');
    expect(screen.getByText(/1 match in All/)).toBeVisible();
    await user.click(screen.getByTestId('show-hidden'));
    expect(shown()).toEqual(['mailbox.yaml']);
    // By the version that runs as well.
    await user.clear(screen.getByTestId('search'));
    await user.type(screen.getByTestId('search'), '2025.12.4');
    expect(shown()).toEqual(['mdns/neighbour-lamp']);
  });

  it('sorts by what is asked for', async () => {
    await show('demo');
    await user.selectOptions(screen.getByTestId('sort'), 'update');
    expect(shown().slice(0, 4)).toEqual([
      'old-pump.yaml',
      'rain-gauge.yaml',
      'pond-level.yaml',
      'workshop-heater.yaml',
    ]);
    await user.selectOptions(screen.getByTestId('sort'), 'wake');
    const online = ['online', 'asleep'].map((presence) =>
      screen.getAllByTestId('device-row').findIndex((one) => one.dataset.presence === presence),
    );
    expect(online[0]).toBe(0);
    expect(shown()[online[1] ?? -1]).toBe('cellar-leak-sensor.yaml');
  });
});

describe('many devices at once', () => {
  it('are selected with the pointer, with Shift and with the keyboard', async () => {
    await show('demo');
    await user.click(inside(row('bathroom-fan.yaml'), 'select'));
    await user.keyboard('{Shift>}');
    await user.click(inside(row('coffee-machine.yaml'), 'select'));
    await user.keyboard('{/Shift}');
    expect(screen.getByTestId('selection-bar')).toHaveTextContent('4 selected');
    await expectAccessible(screen.getByTestId('selection-bar'));
    await user.click(screen.getByTestId('selection-clear'));
    expect(screen.queryByTestId('selection-bar')).toBeNull();

    inside(row('attic-lights.yaml'), 'open-details').focus();
    await user.keyboard('{ArrowDown} {Shift>}{ArrowDown}{/Shift}');
    expect(screen.getByTestId('selection-bar')).toHaveTextContent('2 selected');
    await user.keyboard('{Control>}a{/Control}');
    // Those that were only discovered have nothing that could be done with them.
    const configured = shown().filter((id) => !id.startsWith('mdns/'));
    expect(configured.length).toBe(shown().length - 2);
    expect(screen.getByTestId('selection-bar')).toHaveTextContent(`${configured.length} selected`);
    await user.keyboard('{Escape}');
    expect(screen.queryByTestId('selection-bar')).toBeNull();
  });

  it('are installed on after the plan was said, and only those that can be', async () => {
    const backend = await show('demo');
    for (const id of ['hallway-thermostat', 'stairs-motion', 'rain-gauge', 'mailbox'])
      await user.click(inside(row(`${id}.yaml`), 'select'));
    await user.click(screen.getByTestId('bulk-install'));
    expect(await screen.findByTestId('plan-sum')).toHaveTextContent(
      '1 now, 1 when it wakes; 1 is held',
    );
    expect(screen.getByTestId('install-dialog')).toHaveTextContent('1 update is already under way');
    await expectAccessible(screen.getByTestId('install-dialog'));
    expect(backend.calls).toEqual([]);
    await user.click(screen.getByTestId('install-go'));
    await waitFor(() =>
      expect(backend.calls).toEqual([
        'install hallway-thermostat.yaml',
        'install stairs-motion.yaml',
      ]),
    );
    expect(screen.queryByTestId('selection-bar')).toBeNull();
  });

  it('are cancelled after one question', async () => {
    const backend = await show('demo');
    for (const id of ['mailbox', 'greenhouse', 'coffee-machine'])
      await user.click(inside(row(`${id}.yaml`), 'select'));
    await user.click(screen.getByTestId('bulk-cancel'));
    expect(await screen.findByRole('alertdialog')).toHaveTextContent(
      /Cancel 2 updates\?.*1 running transfer/,
    );
    await user.click(screen.getByTestId('confirm-yes'));
    await waitFor(() =>
      expect(backend.calls.toSorted()).toEqual(['cancel greenhouse.yaml', 'cancel mailbox.yaml']),
    );
  });

  it('are all updated, sleepers too; what was refused is said', async () => {
    await show('trouble');
    await user.click(screen.getByTestId('update-all'));
    expect(await screen.findByTestId('plan-sum')).toHaveTextContent(/^\d+ now, \d+ when they wake/);
    await user.click(screen.getByTestId('install-go'));
    const problems = await screen.findAllByTestId('problem');
    expect(problems[0]).toHaveTextContent(/^\d+ devices: The queue can't be written/);
  });

  it('are all updated with those that nobody has seen, when the user wants them too', async () => {
    const backend = await show('unseen');
    await user.click(screen.getByTestId('update-all'));
    const dialog = await screen.findByTestId('install-dialog');
    expect(screen.queryByTestId('install-go')).toBeNull();
    await user.click(within(dialog).getByTestId('install-unseen'));
    expect(await screen.findByTestId('plan-sum')).toHaveTextContent(/^\d+ when they wake/);
    expect(dialog).toHaveTextContent('They are built one after another.');
    const go = screen.getByTestId('install-go');
    const count = Number(/\d+/.exec(go.textContent)?.[0]);
    await user.click(go);
    await waitFor(() => expect(backend.calls).toHaveLength(count));
    expect(backend.calls.every((call) => call.startsWith('install '))).toBe(true);
  });

  it('wait for an ESPHome to compare with, in a dialog that is open already', async () => {
    const backend = await show('quiet');
    const before = await backend.ask({ cmd: 'snapshot' });
    if (before.status !== 'ok') throw new Error('no snapshot');
    const { status, devices } = before.data;
    const problem = { code: 'esphome.missing', message: 'There is none.', help: null };
    backend.emit({ kind: 'status', status: { ...status, esphome: { kind: 'missing', problem } } });
    for (const one of devices)
      backend.emit({ kind: 'device', device: { ...one, updateAvailable: false } });
    await user.click(screen.getByTestId('update-all'));
    const dialog = await screen.findByTestId('install-dialog');
    await waitFor(() => expect(dialog).toHaveTextContent('Without ESPHome nobody knows'));
    const found = devices.find(({ presence, update }) => presence === 'online' && !update);
    if (!found) throw new Error('nobody is online');
    backend.emit({ kind: 'device', device: { ...found, updateAvailable: true } });
    expect(await screen.findByTestId('plan-sum')).toHaveTextContent(/^1 now/);
  });
});

describe('a device', () => {
  it('has a history with outcomes, sizes and logs', async () => {
    const backend = await show('demo', only('demo', 'kitchen-display.yaml'));
    await user.click(inside(row('kitchen-display.yaml'), 'open-details'));
    await user.click(screen.getByTestId('tab-history'));
    const entries = await screen.findAllByTestId('history-entry');
    expect(entries.map((one) => one.dataset.state)).toEqual([
      'installed',
      'installed',
      'failed',
      'cancelled',
      'installed',
    ]);
    expect(entries[0]).toHaveTextContent(
      /2026.10.0.*waited 35 min · sent in 9 s.*879 kB, 603 kB compressed.*encrypted/,
    );
    expect(entries[4]).toHaveTextContent('not encrypted');
    await user.click(inside(entries[1] as HTMLElement, 'history-log'));
    await waitFor(() => expect(entries[1]).toHaveTextContent('Successfully compiled program'));
    await user.click(inside(entries[1] as HTMLElement, 'log-save'));
    expect(backend.calls).toEqual(['saveLog -1']);
    expect(await screen.findByTestId('notice')).toHaveTextContent('Saved as /home/sam/');
    await expectAccessible(screen.getByTestId('drawer'));
  });

  it('has a log that is searched', async () => {
    await show('demo', only('demo', 'garden-soil-sensor.yaml'));
    await user.click(inside(row('garden-soil-sensor.yaml'), 'open-details'));
    await user.type(await screen.findByTestId('log-search'), 'strapping pin');
    expect(screen.getByText('1 of 1')).toBeInTheDocument();
    const log = screen.getByTestId('build-log');
    expect(log.querySelector('mark')).toHaveTextContent('strapping PIN');
    await user.type(screen.getByTestId('log-search'), '!');
    expect(screen.getByText('no match')).toBeInTheDocument();
  });

  it('takes an address; a wrong one is refused beside the field', async () => {
    const backend = await show('demo', only('demo', 'mailbox.yaml'));
    await user.click(inside(row('mailbox.yaml'), 'row-menu'));
    await choose('address');
    const input = await screen.findByTestId('address-input');
    expect(input).toHaveValue('mailbox.lan');
    await user.clear(input);
    await user.type(input, 'not an address{Enter}');
    expect(await screen.findByText(/neither an IP address/)).toHaveTextContent(
      'neither an IP address nor a name',
    );
    await expectAccessible(screen.getByTestId('address-dialog'));
    await user.clear(input);
    await user.type(input, '10.0.0.7{Enter}');
    await waitFor(() => expect(screen.queryByTestId('address-dialog')).toBeNull());
    expect(backend.calls.at(-1)).toBe('setAddress mailbox.yaml 10.0.0.7');
  });

  it('has a menu with what is rarely needed', async () => {
    const backend = await show('demo');
    await fireEvent.contextMenu(row('rain-gauge.yaml'));
    const menu = await screen.findByTestId('menu');
    expect(
      within(menu)
        .getAllByRole('menuitem')
        .map((one) => one.textContent?.trim()),
    ).toEqual([
      'Rebuild',
      'Flash as built',
      'Cancel',
      'Show log',
      'Save the built image…',
      'Clean build files',
      'Validate',
      'Open YAML',
      'Open folder',
      'Set address…',
      'Labels…',
      'Copy address',
      'Copy MAC address',
      'Select Rain Gauge',
    ]);
    await choose('yaml');
    expect(backend.calls).toEqual(['openYaml rain-gauge.yaml']);
  });

  it('has its build files cleaned, alone or before it is built once more', async () => {
    const failed = device('One', {
      update: update({
        kind: 'failed',
        at: 0,
        problem: problems.compilerError,
        rolledBack: false,
        mayHaveArrived: false,
      }),
    });
    const building = device('Two', { update: update({ kind: 'building', since: 0 }) });
    const devices = [failed, building, device('Three', {})].map(withActions);
    const backend = await show('demo', { devices });
    await fireEvent.contextMenu(row('two.yaml'));
    expect(await screen.findByTestId('menu')).not.toHaveTextContent('Clean');
    await user.keyboard('{Escape}');
    await fireEvent.contextMenu(row('three.yaml'));
    await choose('clean');
    expect(backend.calls).toEqual(['cleanBuild three.yaml']);
    expect(await screen.findByText('The build files of Three are cleaned.')).toBeInTheDocument();
    await fireEvent.contextMenu(row('one.yaml'));
    expect(screen.queryByTestId('menu-clean')).toBeNull();
    await choose('cleanAndRetry');
    expect(backend.calls.at(-1)).toBe('retryClean one.yaml');
  });

  it('has its configuration validated, and the file opened that is wrong', async () => {
    const devices = [device('One', {}), device('Two', { problem: problems.yamlSyntax })];
    const backend = await show('demo', { devices: devices.map(withActions) });
    await fireEvent.contextMenu(row('one.yaml'));
    await choose('validate');
    expect(screen.getByTestId('notice')).toHaveTextContent('Validating One…');
    expect(await screen.findByText(/^One is valid/)).toBeInTheDocument();
    await fireEvent.contextMenu(row('two.yaml'));
    await choose('validate');
    const said = await screen.findByTestId('problem');
    expect(said).toHaveTextContent(/^ESPHome refuses Two\s+Line 14, column 9: /);
    expect(screen.getByTestId('notice')).toHaveTextContent(/^$/);
    await user.click(within(said).getByText('Open common/network.yaml'));
    expect(backend.calls).toEqual([
      'validate one.yaml',
      'validate two.yaml',
      'openPath /home/sam/esphome/common/network.yaml',
    ]);
  });

  it('has its built image saved, once there is one', async () => {
    const built = device('One', {
      update: update({ kind: 'installed', at: 0, how: 'confirmed', watched: false }),
    });
    const building = update(
      { kind: 'building', since: 0 },
      { wantedHash: null, wantedVersion: null },
    );
    const devices = [built, device('Two', { update: building })].map(withActions);
    const backend = await show('demo', { devices });
    await fireEvent.contextMenu(row('two.yaml'));
    expect(await screen.findByTestId('menu')).not.toHaveTextContent('image');
    await user.keyboard('{Escape}');
    await fireEvent.contextMenu(row('one.yaml'));
    await choose('save-image');
    expect(backend.calls).toEqual(['saveImage one.yaml']);
    expect(
      await screen.findByText('The image is saved: /home/sam/one.ota.bin'),
    ).toBeInTheDocument();
  });

  it('that is held shows what changed, without secrets, and what is done about it', async () => {
    await show('changes');
    await user.click(inside(row('rain-gauge.yaml'), 'open-details'));
    const changes = await screen.findByTestId('changes');
    const file = (path: string) => changes.querySelector<HTMLElement>(`[data-path="${path}"]`);
    expect(file('common/tips.h')).toHaveTextContent('common/tips.h was added');
    expect(file('fonts/digits.ttf')).toHaveTextContent('It isn’t text');
    const lines = [...(file('rain-gauge.yaml')?.querySelectorAll('.line') ?? [])];
    const said = lines.map((line) => line.textContent.replaceAll(/\s+/g, ' ').trim());
    expect(said.slice(1, 6)).toEqual([
      '12 - platform: pulse_counter',
      '13− pin: GPIO4',
      '13+ pin: GPIO5',
      '14+ name: "Rain" # mm/h',
      '15 update_interval: 60s',
    ]);
    expect(file('secrets.yaml')).toHaveTextContent('••• stands for a secret');
    const panel = within(screen.getByTestId('update-panel'));
    for (const name of ['Rebuild', 'Flash as built', 'Cancel'])
      expect(panel.getByText(name)).toBeInTheDocument();
  });

  it('that was only discovered shows what is known of it, and nothing to do', async () => {
    await show('demo', only('demo', 'mdns/living-room-plug'));
    const discovered = row('mdns/living-room-plug');
    expect(discovered.querySelector('[data-testid=select]')).toBeNull();
    await user.click(inside(discovered, 'row-menu'));
    expect(await screen.findByTestId('menu')).not.toHaveTextContent('Select');
    await user.keyboard('{Escape}');
    await user.click(inside(discovered, 'open-details'));
    expect(screen.getByTestId('facts')).toHaveTextContent('192.168.7.88');
    expect(screen.queryByRole('tab')).toBeNull();
    inside(discovered, 'open-details').focus();
    await user.keyboard(' {Control>}a{/Control}');
    expect(screen.queryByTestId('selection-bar')).toBeNull();
  });

  it('has a menu that Tab closes', async () => {
    await show('demo');
    await fireEvent.contextMenu(row('rain-gauge.yaml'));
    await screen.findByTestId('menu');
    await user.keyboard('{Tab}');
    await waitFor(() => expect(screen.queryByTestId('menu')).toBeNull());
  });

  it('is shown when its notification is clicked, with its log', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    backend.requestOpen({ device: 'pond-level.yaml', showLog: true });
    expect(await screen.findByTestId('build-log')).toBeInTheDocument();
    expect(screen.getByTestId('drawer')).toHaveAttribute('data-device', 'pond-level.yaml');
  });
});

describe('the keyboard', () => {
  it('acts on a device', async () => {
    const backend = await show('demo');
    await user.keyboard('{Control>}k{/Control}');
    await user.type(await screen.findByTestId('palette-input'), 'install coff');
    expect(screen.getAllByTestId('palette-act').map((one) => one.textContent?.trim())).toEqual([
      'Install Coffee Machine',
    ]);
    await user.keyboard('{Enter}');
    await waitFor(() => expect(backend.calls).toEqual(['install coffee-machine.yaml']));
    // Others are in the garden, and come after the one that is called so.
    await user.keyboard('{Control>}k{/Control}');
    await user.type(await screen.findByTestId('palette-input'), 'cancel gard');
    expect(screen.getAllByTestId('palette-act').map((one) => one.textContent?.trim())).toEqual([
      'Cancel Garden Soil Sensor',
      'Cancel Beehive Scale',
      'Cancel Greenhouse',
      'Cancel Rain Gauge',
    ]);
  });

  it('leads to every command and device', async () => {
    const backend = await show('demo');
    await user.keyboard('{Control>}k{/Control}');
    await user.type(await screen.findByTestId('palette-input'), 'rain g');
    await expectAccessible(screen.getByTestId('palette'));
    await user.keyboard('{Enter}');
    expect(await screen.findByTestId('drawer')).toHaveAttribute('data-device', 'rain-gauge.yaml');
    await user.keyboard('{Escape}{Control>}k{/Control}');
    await user.type(await screen.findByTestId('palette-input'), 'pause{Enter}');
    await waitFor(() => expect(backend.calls).toEqual(['setPaused true']));
    expect(await screen.findByTestId('banner-paused')).toBeInTheDocument();
    await user.click(screen.getByTestId('pause'));
    expect(backend.calls.at(-1)).toBe('setPaused false');
  });

  it('explains itself, opens rows and goes from end to end', async () => {
    await show('demo');
    await user.keyboard('?');
    expect(await screen.findByTestId('keys')).toHaveTextContent('Commands and devices');
    await expectAccessible(screen.getByTestId('keys'));
    await user.keyboard('{Escape}');
    await user.keyboard('{ArrowDown}{End}{Home}{ArrowDown}{Enter}');
    const second = shown()[1];
    expect(await screen.findByTestId('drawer')).toHaveAttribute('data-device', second);
  });

  it('quits at once while no device is being flashed', async () => {
    const backend = await show('quiet');
    await user.keyboard('{Control>}q{/Control}');
    await waitFor(() => expect(backend.calls).toEqual(['shutdown']));
    expect(screen.queryByRole('alertdialog')).toBeNull();
  });

  it('asks before it quits while a device is being flashed', async () => {
    const backend = await show('demo');
    await user.keyboard('{Control>}q{/Control}');
    expect(await screen.findByRole('alertdialog')).toHaveTextContent(
      '1 running transfer is cut short',
    );
    await user.click(screen.getByTestId('confirm-no'));
    expect(backend.calls).toEqual(['stay']);
    await user.keyboard('{Control>}q{/Control}');
    await user.click(await screen.findByTestId('confirm-yes'));
    await waitFor(() => expect(backend.calls).toEqual(['stay', 'shutdown']));
  });
});

describe('a thousand devices', () => {
  it('are drawn in part, and the keyboard reaches the rest', async () => {
    await show('many');
    await user.keyboard('{ArrowDown}{End}');
    await waitFor(() =>
      expect(document.activeElement?.closest('[data-device]')).toHaveAttribute(
        'data-device',
        'mdns/neighbour-lamp',
      ),
    );
  });
});

describe('German', () => {
  it('is spoken at once when it is chosen, and the choice keeps the focus', async () => {
    await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    await user.selectOptions(screen.getByTestId('settings-language'), 'de');
    expect(await screen.findByRole('heading', { name: 'Einstellungen' })).toBeInTheDocument();
    expect(screen.getByTestId('settings-language')).toHaveFocus();
    expect(document.documentElement.lang).toBe('de');
    await user.click(screen.getByTestId('settings-back'));
    expect(row('garden-soil-sensor.yaml')).toHaveTextContent(/Schläft.*wacht in ~\d+ min auf/);
    expect(row('greenhouse.yaml')).toHaveTextContent('Wird geflasht 62 %');
  });

  it('says problems in German, with the original as details', async () => {
    const problem = {
      code: 'config.unreadable',
      message: 'The file can’t be read: an error.',
      help: null,
    };
    await show('german', { devices: [device('One', { problem, primary: 'none' })] });
    await user.click(inside(row('one.yaml'), 'open-details'));
    const panel = screen.getByTestId('update-panel');
    expect(panel).toHaveTextContent('Die Datei kann nicht gelesen werden.');
    expect(panel.querySelector('details')).toHaveTextContent('an error');
  });
});
