/** Areas and labels: shown, searched, narrowed down to, laid out by, and chosen together; and the columns of the list. */
import { cleanup, screen, waitFor, within } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import { device } from '../src/lib/backend/fake/devices';
import { CLICKS, expectAccessible, inside, row, show } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const DEVICES = [
  device('Freezer', { area: 'Cellar', labels: ['Battery', 'Water'] }),
  device('Gate', { area: 'Garden', labels: ['Battery'], presence: 'online' }),
  device('Hall', { presence: 'online' }),
  device('Soil', { area: 'Garden', labels: ['Battery'] }),
  device('Seen', { file: null, id: 'mdns/seen', updateAvailable: false }),
];

function shown(): string[] {
  return [...document.querySelectorAll('[data-testid=group], [data-testid=device-row]')].map(
    (one) => (one as HTMLElement).dataset.device ?? one.textContent.trim(),
  );
}

async function choose(key: string): Promise<void> {
  await user.selectOptions(screen.getByTestId('tag'), key);
}

async function view(key: string): Promise<void> {
  await user.click(screen.getByTestId('view-menu'));
  await user.click(await screen.findByTestId(`menu-${key}`));
}

describe('areas and labels', () => {
  it('are shown, and found by the search', async () => {
    await show('quiet', { devices: DEVICES });
    expect(inside(row('freezer.yaml'), 'area')).toHaveTextContent(/^Cellar ?Battery, Water$/);
    await user.type(screen.getByTestId('search'), 'garden batt');
    expect(shown()).toEqual(['gate.yaml', 'soil.yaml']);
    await user.click(inside(row('soil.yaml'), 'open-details'));
    const drawer = screen.getByTestId('drawer');
    expect(drawer).toHaveTextContent('Garden');
    await user.click(screen.getByTestId('tab-device'));
    expect(screen.getByTestId('facts')).toHaveTextContent(/Area ?Garden.*Labels ?Battery/);
  });

  it('narrow the list down, with numbers that are those of the rows', async () => {
    await show('quiet', { devices: DEVICES });
    const options = () =>
      within(screen.getByTestId('tag'))
        .getAllByRole('option')
        .map((one) => one.textContent);
    expect(options()).toEqual([
      'All areas and labels',
      'Cellar (1)',
      'Garden (2)',
      'No area (1)',
      'Battery (3)',
      'Water (1)',
      'No label (1)',
    ]);
    await choose('area/Garden');
    expect(shown()).toEqual(['gate.yaml', 'soil.yaml']);
    expect(screen.getByTestId('summary-all')).toHaveTextContent('All 2');
    expect(screen.getByTestId('summary-asleep')).toHaveTextContent('Asleep 1');
    await user.click(screen.getByTestId('summary-asleep'));
    expect(shown()).toEqual(['soil.yaml']);
    await user.keyboard('{Escape}');
    expect(shown()).toHaveLength(DEVICES.length);
    await choose('labels/');
    expect(shown()).toEqual(['hall.yaml']);
  });

  it('say what they hide from the search, and make room for what the headline counts', async () => {
    await show('quiet', { devices: DEVICES });
    await choose('area/Cellar');
    await user.type(screen.getByTestId('search'), 'soil');
    expect(screen.getByText(/1 match in All/)).toBeInTheDocument();
    await user.click(screen.getByTestId('show-hidden'));
    expect(shown()).toEqual(['soil.yaml']);
    await user.clear(screen.getByTestId('search'));
    await choose('area/Cellar');
    await user.click(screen.getByTestId('open-home'));
    await user.click(screen.getByTestId('headline-available'));
    expect(shown()).toHaveLength(4);
  });

  it('are still said when the last device of theirs has gone', async () => {
    const backend = await show('quiet', { devices: DEVICES });
    await choose('area/Cellar');
    backend.emit({ kind: 'deviceRemoved', id: 'freezer.yaml' });
    await screen.findByTestId('no-match');
    expect(screen.getByTestId('tag')).toHaveDisplayValue('Cellar (0)');
    await choose('');
    expect(shown()).toHaveLength(4);
  });

  it('lay the list out in parts, which are selected as a whole', async () => {
    await show('quiet', { devices: DEVICES });
    await view('group-area');
    expect(screen.getByTestId('view-menu')).toHaveFocus();
    expect(shown()).toEqual([
      'Cellar 1',
      'freezer.yaml',
      'Garden 2',
      'gate.yaml',
      'soil.yaml',
      'No area 1',
      'hall.yaml',
      'mdns/seen',
    ]);
    const garden = screen.getAllByTestId('group')[1] as HTMLElement;
    await user.click(inside(garden, 'select-group'));
    expect(screen.getByTestId('selection-bar')).toHaveTextContent('2 selected');
    expect(inside(row('gate.yaml'), 'select')).toBeChecked();
    await expectAccessible(screen.getByTestId('device-scroll'));
    await user.click(inside(garden, 'select-group'));
    expect(screen.queryByTestId('selection-bar')).toBeNull();
    await view('group-labels');
    expect(shown().filter((one) => /\d$/.test(one))).toEqual([
      'Battery 2',
      'Battery, Water 1',
      'No label 1',
    ]);
    await view('group-labels');
    expect(screen.queryByTestId('group')).toBeNull();
  });

  it('sort the list, and what has no area stays last', async () => {
    await show('quiet', { devices: DEVICES.slice(0, 4) });
    await user.click(screen.getByTestId('sort-area'));
    expect(shown()).toEqual(['freezer.yaml', 'gate.yaml', 'soil.yaml', 'hall.yaml']);
    await user.click(screen.getByTestId('sort-area'));
    expect(shown()).toEqual(['gate.yaml', 'soil.yaml', 'freezer.yaml', 'hall.yaml']);
  });
});

describe('the labels of devices', () => {
  it('are given to one, and taken from it', async () => {
    const backend = await show('quiet', { devices: DEVICES });
    await user.click(inside(row('hall.yaml'), 'row-menu'));
    await user.click(await screen.findByTestId('menu-labels'));
    const dialog = await screen.findByTestId('labels-dialog');
    expect(dialog).toHaveTextContent('Labels of Hall');
    expect(screen.getByTestId('label-add')).toBeDisabled();
    await user.type(screen.getByTestId('label-input'), 'Mains{Enter}');
    const boxes = () => within(dialog).getAllByRole('checkbox');
    await waitFor(() => expect(boxes()).toHaveLength(3));
    expect(within(dialog).getByLabelText('Mains')).toBeChecked();
    await expectAccessible(dialog);
    await user.click(within(dialog).getByLabelText('Mains'));
    expect(backend.calls).toEqual([
      'setLabel hall.yaml Mains true',
      'setLabel hall.yaml Mains false',
    ]);
    await user.click(screen.getByTestId('labels-close'));
    expect(screen.queryByTestId('labels-dialog')).toBeNull();
  });

  it('are given to all that are selected', async () => {
    const backend = await show('quiet', { devices: DEVICES });
    for (const id of ['freezer', 'hall']) await user.click(inside(row(`${id}.yaml`), 'select'));
    await user.click(screen.getByTestId('bulk-label'));
    const dialog = await screen.findByTestId('labels-dialog');
    expect(dialog).toHaveTextContent('Labels of 2 devices');
    const water = within(dialog).getByLabelText('Water');
    expect(water).toBePartiallyChecked();
    await user.click(water);
    expect(backend.calls).toEqual(['setLabel freezer.yaml,hall.yaml Water true']);
    await waitFor(() => expect(within(dialog).getByLabelText('Water')).toBeChecked());
  });
});

describe('the columns', () => {
  it('are there as the user chose, in the next window too, with the area and the groups', async () => {
    await show('quiet', { devices: DEVICES });
    await view('column-firmware');
    await view('column-area');
    await view('group-area');
    await choose('area/Garden');
    expect(screen.queryByTestId('sort-version')).toBeNull();
    cleanup();
    await show('quiet', { devices: DEVICES });
    expect(shown()).toEqual(['Garden 2', 'gate.yaml', 'soil.yaml']);
    expect(screen.queryByTestId('sort-version')).toBeNull();
    expect(screen.queryByTestId('area')).toBeNull();
    expect(screen.getByTestId('sort-wake')).toBeInTheDocument();
    await view('column-area');
    expect(inside(row('soil.yaml'), 'area')).toHaveTextContent('Garden');
  });

  it('have none for areas where there are none', async () => {
    await show('quiet', { devices: [device('Hall'), device('Gate')] });
    expect(screen.queryByTestId('tag')).toBeNull();
    expect(screen.queryByTestId('sort-area')).toBeNull();
    await user.click(screen.getByTestId('view-menu'));
    expect(await screen.findByTestId('menu-column-firmware')).toBeInTheDocument();
    expect(screen.queryByTestId('menu-column-area')).toBeNull();
    expect(screen.queryByTestId('menu-group-area')).toBeNull();
  });
});
