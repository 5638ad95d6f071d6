/** What the list and the drawer do when devices come, go and move, and where the keyboard is then. */
import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { device, update } from '../src/lib/backend/fake/devices';
import { CLICKS, inside, row, show, story } from './helpers';

let user = userEvent.setup(CLICKS);
beforeEach(() => (user = userEvent.setup(CLICKS)));

const GONE = { timeout: 60_000 };
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

function shown(): string[] {
  return screen.getAllByTestId('device-row').map((one) => one.dataset.device ?? '');
}

function waits(name: string, since = Date.now()) {
  return device(name, {
    update: update({ kind: 'waiting', since, mayHaveArrived: false }),
    primary: 'cancel',
  });
}

describe('a device that goes', () => {
  it('closes its drawer, says so, and leaves the keys alone', async () => {
    const backend = await show('demo');
    await user.click(screen.getByTestId('summary-attention'));
    await user.click(inside(row('rain-gauge.yaml'), 'open-details'));
    const [gone] = story('demo').devices.filter(({ id }) => id === 'rain-gauge.yaml');
    backend.emit({ kind: 'deviceRemoved', id: 'rain-gauge.yaml' });
    await waitFor(() => expect(screen.queryByTestId('drawer')).toBeNull(), GONE);
    expect(screen.getByTestId('notice')).toHaveTextContent(
      'rain-gauge.yaml is no longer in the list',
    );
    await waitFor(() => expect(document.activeElement?.closest('[data-device]')).not.toBeNull());
    await user.keyboard('{Escape}');
    expect(screen.getByTestId('summary-all')).toHaveAttribute('aria-pressed', 'true');
    backend.emit({ kind: 'device', device: gone! });
    await waitFor(() => expect(row('rain-gauge.yaml')).toBeInTheDocument());
    expect(screen.queryByTestId('drawer')).toBeNull();
  });

  it('and comes back at once was only saved: its drawer stays', async () => {
    const backend = await show('demo');
    await user.click(inside(row('rain-gauge.yaml'), 'open-details'));
    const drawer = screen.getByTestId('drawer');
    const [saved] = story('demo').devices.filter(({ id }) => id === 'rain-gauge.yaml');
    backend.emit({ kind: 'deviceRemoved', id: 'rain-gauge.yaml' });
    await waitFor(() => expect(shown()).not.toContain('rain-gauge.yaml'));
    expect(screen.getByTestId('drawer')).toBe(drawer);
    backend.emit({ kind: 'device', device: saved! });
    await pause(1_200);
    expect(screen.getByTestId('drawer')).toBe(drawer);
    expect(screen.getByTestId('notice')).toBeEmptyDOMElement();
  });

  it('is said to be gone when its notification is clicked', async () => {
    const backend = await show('demo');
    backend.requestOpen({ device: 'sold.yaml', showLog: true });
    await waitFor(
      () =>
        expect(screen.getByTestId('notice')).toHaveTextContent(
          'sold.yaml is no longer in the list',
        ),
      GONE,
    );
    await user.keyboard('{Escape}');
    expect(screen.getByTestId('device-scroll')).toBeInTheDocument();
  });

  it('is no longer selected', async () => {
    const backend = await show('demo');
    for (const id of ['mailbox', 'rain-gauge'])
      await user.click(inside(row(`${id}.yaml`), 'select'));
    backend.emit({ kind: 'deviceRemoved', id: 'mailbox.yaml' });
    const bar = screen.getByTestId('selection-bar');
    await waitFor(() => expect(bar).toHaveTextContent('1 selected'), GONE);
    backend.emit({ kind: 'deviceRemoved', id: 'rain-gauge.yaml' });
    await waitFor(() => expect(screen.queryByTestId('selection-bar')).toBeNull(), GONE);
  });
});

describe('the focus', () => {
  const focused = () =>
    document.activeElement?.closest('[data-device]')?.getAttribute('data-device');

  it('goes to the next row when a filter no longer shows its own, and to the page after the last', async () => {
    await show('quiet', { devices: [waits('A'), waits('B')] });
    await user.click(screen.getByTestId('summary-waiting'));
    inside(row('a.yaml'), 'primary-action').focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(focused()).toBe('b.yaml'));
    inside(row('b.yaml'), 'primary-action').focus();
    await user.keyboard('{Enter}');
    expect(await screen.findByTestId('no-match')).toBeInTheDocument();
    await waitFor(() => expect(screen.getByRole('main')).toHaveFocus());
  });

  it('is on the page when a message that had it goes', async () => {
    await show('demo', { refuses: true });
    await user.click(inside(row('pond-level.yaml'), 'primary-action'));
    await screen.findByTestId('problem');
    screen.getByRole('button', { name: 'Dismiss' }).focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.getByRole('main')).toHaveFocus());
  });

  it('stays near when ESPHome is installed, from the banner and from the settings', async () => {
    await show('no-esphome');
    screen.getByTestId('banner-esphome-install').focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.queryByTestId('banner-esphome-install')).toBeNull());
    await waitFor(() => expect(screen.getByRole('main')).toHaveFocus());
    cleanup();
    await show('no-esphome');
    await user.click(screen.getByTestId('open-settings'));
    screen.getByTestId('esphome-install').focus();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(screen.getByTestId('esphome-state')).toHaveFocus());
  });

  it('is where it was asked to be, on the settings page too', async () => {
    await show('demo');
    await user.click(screen.getByTestId('open-settings'));
    await user.click(screen.getByTestId('main-menu'));
    await user.click(await screen.findByTestId('menu-about'));
    await waitFor(() => expect(document.activeElement).toHaveAttribute('id', 'settings-about'));
    await user.keyboard('{Control>},{/Control}');
    await waitFor(() => expect(screen.getByRole('heading', { level: 1 })).toHaveFocus());
  });
});

describe('keys', () => {
  it('select all devices only in the list', async () => {
    await show('demo');
    await user.click(inside(row('garden-soil-sensor.yaml'), 'open-details'));
    const log = await screen.findByRole('region', { name: 'Output of the build' });
    for (const part of [log, screen.getByTestId('drawer-close'), document.body]) {
      expect(await fireEvent.keyDown(part, { key: 'a', ctrlKey: true })).toBe(true);
      expect(await fireEvent.keyDown(part, { key: 'ArrowDown' })).toBe(true);
      expect(screen.queryByTestId('selection-bar')).toBeNull();
    }
    await user.keyboard('{Escape}{Control>}a{/Control}');
    expect(screen.getByTestId('selection-bar')).toBeInTheDocument();
  });

  it('with others held are not the search', async () => {
    await show('demo');
    await fireEvent.keyDown(document.body, { key: '/', ctrlKey: true });
    await fireEvent.keyDown(document.body, { key: '/', altKey: true });
    await pause(0);
    expect(screen.getByTestId('search')).not.toHaveFocus();
    await fireEvent.keyDown(document.body, { key: '/' });
    await waitFor(() => expect(screen.getByTestId('search')).toHaveFocus());
  });
});

describe('a row', () => {
  it('says the version that runs, the one that is there, and whether files have changed', async () => {
    const of = (name: string, deployedVersion: string | null, modified = false) =>
      device(name, { deployedVersion, modified, updateAvailable: deployedVersion !== '2026.10.0' });
    const devices = [of('A', '2026.9.0', true), of('B', null), of('C', '2026.10.0')];
    await show('quiet', { devices });
    const said = (id: string) => row(id).querySelector('.firmware')?.textContent;
    expect(said('a.yaml')).toMatch(/2026\.9\.0, 2026\.10\.0 is available$/);
    expect(inside(row('a.yaml'), 'update')).toHaveTextContent('Files changed');
    expect(said('b.yaml')).toMatch(/^version unknown\s*$/);
    expect(said('c.yaml')).toMatch(/^2026\.10\.0\s*$/);
  });
});

describe('the order', () => {
  it('is turned round by the same head, and what is not known stays last', async () => {
    const of = (name: string, deployedVersion: string | null) => device(name, { deployedVersion });
    const devices = [of('A', '2026.9.0'), of('B', null), of('C', '2026.10.1')];
    await show('quiet', { devices });
    const head = screen.getByTestId('sort-version');
    await user.click(head);
    expect(shown()).toEqual(['a.yaml', 'c.yaml', 'b.yaml']);
    expect(head).toHaveAccessibleName('Firmware ascending');
    await user.click(head);
    expect(shown()).toEqual(['c.yaml', 'a.yaml', 'b.yaml']);
    expect(head).toHaveAccessibleName('Firmware descending');
    await user.click(screen.getByTestId('sort-name'));
    await user.click(screen.getByTestId('sort-reverse'));
    expect(shown()).toEqual(['c.yaml', 'b.yaml', 'a.yaml']);
  });

  it('is kept for the next window, with the filter and the page', async () => {
    await show('demo');
    await user.click(screen.getByTestId('sort-update'));
    await user.click(screen.getByTestId('sort-update'));
    await user.click(screen.getByTestId('summary-attention'));
    const before = shown();
    await user.click(screen.getByTestId('open-settings'));
    cleanup();
    await show('demo');
    expect(screen.getByTestId('open-devices')).toHaveAttribute('aria-current', 'page');
    expect(screen.getByTestId('summary-attention')).toHaveAttribute('aria-pressed', 'true');
    expect(shown()).toEqual(before);
    await user.click(screen.getByTestId('open-home'));
    cleanup();
    await show('demo');
    expect(screen.getByTestId('home')).toBeInTheDocument();
  });

  it('is that of the first window when what was kept is broken', async () => {
    localStorage.setItem('wakeflash.view', '{"sort":"gone","filter":7');
    await show('demo');
    expect(screen.getByTestId('home')).toBeInTheDocument();
    await user.click(screen.getByTestId('open-devices'));
    expect(screen.getByTestId('sort-name')).toHaveAttribute('aria-pressed', 'true');
  });
});

describe('the scroll position', () => {
  it.each<[string, () => Promise<void>]>([
    ['filter', () => user.click(screen.getByTestId('summary-waiting'))],
    ['search', () => user.type(screen.getByTestId('search'), 'lamp')],
    ['order', () => user.click(screen.getByTestId('sort-update'))],
  ])('begins at the top with another %s', async (_, act) => {
    await show('many');
    const scroll = screen.getByTestId('device-scroll');
    scroll.scrollTop = 20_000;
    await fireEvent.scroll(scroll);
    await act();
    await waitFor(() => expect(scroll.scrollTop).toBe(0));
    await waitFor(() => expect(row(shown()[0] ?? '')).toHaveAttribute('aria-posinset', '1'));
  });

  it('stays where it is when devices change', async () => {
    const backend = await show('many');
    const scroll = screen.getByTestId('device-scroll');
    scroll.scrollTop = 20_000;
    await fireEvent.scroll(scroll);
    const sleeper = story('many').devices.find(({ presence }) => presence === 'asleep');
    const asleep = screen.getByTestId('summary-asleep').innerHTML;
    backend.emit({ kind: 'device', device: { ...sleeper!, presence: 'online' } });
    await waitFor(() => expect(screen.getByTestId('summary-asleep').innerHTML).not.toBe(asleep));
    expect(scroll.scrollTop).toBe(20_000);
  });
});

describe('a click', () => {
  it('does nothing to a device that has just moved under the pointer; a key does', async () => {
    const backend = await show('quiet', { devices: [waits('B'), waits('C')] });
    // However long a busy machine takes for the following.
    const began = performance.now();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(began);
    backend.emit({ kind: 'device', device: waits('A') });
    await waitFor(() => expect(shown()[0]).toBe('a.yaml'));
    await user.click(inside(row('b.yaml'), 'primary-action'));
    expect(backend.calls).toEqual([]);
    inside(row('c.yaml'), 'primary-action').focus();
    await user.keyboard('{Enter}');
    expect(backend.calls).toEqual(['cancel c.yaml']);
    clock.mockReturnValue(began + 600);
    await user.click(inside(row('b.yaml'), 'primary-action'));
    expect(backend.calls).toEqual(['cancel c.yaml', 'cancel b.yaml']);
    clock.mockRestore();
  });

  it('does nothing to a device that is new where another one was, whatever the button', async () => {
    const hold = (name: string) =>
      device(name, {
        update: update({ kind: 'held', changes: [], mayHaveArrived: false }),
        primary: 'rebuild',
        secondary: ['flashAnyway', 'cancel'],
      });
    const backend = await show('quiet', { devices: [hold('B')] });
    const began = performance.now();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(began);
    backend.emit({ kind: 'device', device: hold('A') });
    await waitFor(() => expect(shown()[0]).toBe('a.yaml'));
    const cancel = row('a.yaml').querySelector('[data-action="cancel"]')!;
    await user.click(cancel);
    await user.click(inside(row('a.yaml'), 'primary-action'));
    expect(backend.calls).toEqual([]);
    clock.mockReturnValue(began + 600);
    await user.click(cancel);
    expect(backend.calls).toEqual(['cancel a.yaml']);
    clock.mockRestore();
  });

  it('works at once in a row that scrolling has brought', async () => {
    const devices = Array.from({ length: 200 }, (_, n) => {
      const name = `D ${String(n).padStart(3, '0')}`;
      return n < 100 ? device(name, { updateAvailable: true, primary: 'install' }) : waits(name);
    });
    const backend = await show('quiet', { devices });
    const scroll = screen.getByTestId('device-scroll');
    scroll.scrollTop = 150 * 57;
    await fireEvent.scroll(scroll);
    await user.click(inside(row('d-150.yaml'), 'primary-action'));
    expect(backend.calls).toEqual(['cancel d-150.yaml']);
  });
});

describe('a tooltip', () => {
  /** Nothing is laid out here: a text is cut off where it is said to be. */
  function cut(element: Element): void {
    Object.defineProperty(element, 'scrollWidth', { value: 200 });
    Object.defineProperty(element, 'clientWidth', { value: 100 });
  }

  it('tells the keyboard what a button is, and goes with any key', async () => {
    await show('demo');
    await user.tab();
    screen.getByTestId('pause').focus();
    const tip = await screen.findByTestId('tip');
    expect(tip).toHaveTextContent('Start no new builds and transfers');
    expect(tip).toHaveRole('tooltip');
    await waitFor(() =>
      expect(screen.getByTestId('pause')).toHaveAccessibleDescription(/Start no new builds/),
    );
    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByTestId('tip')).toBeNull());
    expect(screen.getByTestId('pause')).not.toHaveAttribute('aria-describedby');
    await user.tab();
    expect(screen.getByTestId('main-menu')).toHaveFocus();
    expect(await screen.findByTestId('tip')).toHaveTextContent('Menu');
  });

  it('shows with the row what is cut off in it, and nothing else', async () => {
    const backend = await show('demo');
    const failed = row('pond-level.yaml');
    cut(inside(failed, 'update').querySelector('.title')!);
    await user.keyboard('{ArrowDown}');
    inside(failed, 'open-details').focus();
    const tip = await screen.findByTestId('tip');
    // What to do about it is longer than its line, always.
    expect([...tip.querySelectorAll('p')].map((line) => line.textContent)).toEqual([
      'Wrong OTA password',
      expect.stringMatching(/^The device refused the OTA password\. Enter the OTA password/),
    ]);
    backend.emit({ kind: 'deviceRemoved', id: 'pond-level.yaml' });
    await waitFor(() => expect(screen.queryByTestId('tip')).toBeNull());
  });

  it('comes no more when the page is gone', async () => {
    await show('demo');
    await user.tab();
    const clear = vi.spyOn(window, 'clearTimeout');
    const set = vi.spyOn(window, 'setTimeout');
    screen.getByTestId('pause').focus();
    const rests = set.mock.results.filter((_, index) => set.mock.calls[index]?.[1] === 500);
    expect(rests).toHaveLength(1);
    cleanup();
    expect(clear).toHaveBeenCalledWith(rests[0]?.value);
  });

  it('does not take the key that closes what is below it', async () => {
    await show('demo');
    await user.click(inside(row('pond-level.yaml'), 'open-details'));
    await user.tab();
    expect(await screen.findByTestId('tip')).toHaveTextContent('Previous device');
    await user.keyboard('{Escape}');
    expect(screen.queryByTestId('drawer')).toBeNull();
  });

  it('comes with the pointer that rests, and goes with it', async () => {
    await show('demo');
    const button = screen.getByTestId('main-menu');
    await fireEvent.pointerMove(button, { clientX: 1, clientY: 1 });
    expect(await screen.findByTestId('tip')).toHaveTextContent('Menu');
    await fireEvent.pointerMove(document.body, { clientX: 500, clientY: 500 });
    await waitFor(() => expect(screen.queryByTestId('tip')).toBeNull());
    await fireEvent.pointerMove(button, { clientX: 1, clientY: 1 });
    await user.click(button);
    await screen.findByTestId('menu-about');
    await pause(700);
    expect(screen.queryByTestId('tip')).toBeNull();
  });

  it('takes a question that ESPHome has not answered for nothing wrong', async () => {
    const problem = { code: 'config.unanswered', message: 'It can’t be started.', help: null };
    await show('quiet', { devices: [device('One', { problem, updateAvailable: true })] });
    expect(row('one.yaml').dataset.state).toBe('none');
    expect(inside(row('one.yaml'), 'update')).toHaveTextContent('Update available');
    expect(screen.queryByTestId('summary-attention')).toBeNull();
    expect(screen.getByTestId('summary-available')).toHaveTextContent('1');
  });
});
