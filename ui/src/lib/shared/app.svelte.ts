/** What every component can reach: the backend, the state, and where the user is. */
import { createContext } from 'svelte';
import type {
  Answer,
  AppInfo,
  Away,
  Backend,
  DeviceId,
  DeviceView,
  Place,
  Problem,
  Settings,
} from '../backend';
import { itemsOf, type Column, type Filter, type Item, type Sort } from '../devices/filter';
import { idsOf, Selection } from '../devices/selection.svelte';
import type { Grouping, Tag } from '../devices/tags';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
import { writeClipboard } from './clipboard';
import { Clock } from './clock.svelte';
import { Dialogs } from './dialogs.svelte';
import { keep, readKept } from './kept';
import { statusProblems } from './status';
import { Store } from './store.svelte';

export type Page = 'home' | 'activity' | 'devices' | 'settings';
export type DrawerTab = 'update' | 'history' | 'log' | 'device';
type SettingsField = 'title' | 'configDir' | 'esphome' | 'language' | 'about';

/** A device that a command for many could not be carried out for. */
export interface RefusedDevice {
  name: string;
  problem: Problem;
}

/** Something that went wrong, and for which of many devices when a command was for many. */
interface ShownProblem {
  key: number;
  problem: Problem;
  refused: readonly RefusedDevice[];
  about: About | null;
}

/** What a problem is about, where it doesn't say so itself, and what is done about it. */
interface About {
  title: string;
  remedy: { label: string; run: () => void };
}

/** What was done a moment ago, and how it is taken back. */
interface Undoable {
  text: string;
  run: () => void;
}

/** For so long a way back is offered; the application keeps it a little longer. */
const UNDO_MS = 10_000;

export class App {
  readonly backend: Backend;
  readonly store: Store;
  readonly clock = new Clock();
  readonly dialogs = new Dialogs();
  readonly selection = new Selection();
  info: AppInfo | null = $state.raw(null);
  page: Page = $state('home');
  /** Where the user was before the settings. */
  before: Exclude<Page, 'settings'> = 'home';
  selected: DeviceId | null = $state(null);
  /** The devices of the page in its order. */
  order: () => readonly DeviceId[] = $state.raw(() => []);
  /** Which part of the drawer is open; `null`: the one that fits. */
  tab: DrawerTab | null = $state(null);
  query = $state('');
  filter: Filter | null = $state(null);
  /** The area or label that the list is narrowed down to. */
  tag: Tag | null = $state.raw(null);
  /** What the list is laid out by. */
  group: Grouping | null = $state(null);
  /** The columns that the user doesn't want to see. */
  without: readonly Column[] = $state.raw([]);
  sort: Sort = $state('name');
  descending = $state(false);
  /** Commands that failed, newest last. */
  problems: ShownProblem[] = $state.raw([]);
  /** Whether each of several problems of the application has its banner. */
  unfolded = $state(false);
  /** What was done, said in passing. */
  notice = $state('');
  /** What can be taken back. */
  undo: Undoable | null = $state.raw(null);
  /** Which setting is to get the focus. */
  settingsFocus: SettingsField | null = $state(null);
  /** What the drawer shows. A file that is saved by way of another one is gone for a moment: it stays for that. */
  readonly drawer: DeviceView | undefined = $derived.by(() => {
    const listed = this.store.devices.find((device) => device.id === this.selected);
    if (listed || this.#shown?.id !== this.selected) this.#shown = listed;
    return this.#shown;
  });
  #shown: DeviceView | undefined;
  #nextKey = 0;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;
  #undoTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend) {
    this.backend = backend;
    this.store = new Store(backend);
    Object.assign(this, readKept());
  }

  /** Where Wakeflash works; `null`: on this computer. */
  get place(): Place | null {
    return this.store.status?.place ?? null;
  }

  /** There is no connection to there; `null`: what is shown is so, and everything can be done. */
  get away(): Away | null {
    return this.place?.away ?? null;
  }

  /** Keeps where the user is for the next window. The settings and what has ended are no places to stay. */
  keep(): void {
    const { filter, tag, group, without, sort, descending } = this;
    const page = this.page === 'settings' ? this.before : this.page;
    const home = page === 'devices' ? page : 'home';
    keep({ page: home, filter, tag, group, without, sort, descending });
  }

  /** Asks what surrounds the window: a tray can come later, and go. */
  async look(): Promise<void> {
    const answer = await this.backend.ask({ cmd: 'app_info' });
    if (answer.status === 'ok') this.info = answer.data;
    else this.show(answer.error);
  }

  /** Waits for a command and shows why it failed, when it did. */
  async report(pending: Promise<Answer<unknown>>): Promise<void> {
    const problem = await failure(pending);
    if (problem) this.show(problem);
  }

  /** What is shown already is shown as the newest; what a banner says is unfolded there. */
  show(problem: Problem, refused: readonly RefusedDevice[] = [], about: About | null = null): void {
    const { status, trouble } = this.store;
    const told = statusProblems(status, trouble, this.page === 'settings');
    if (refused.length === 0 && told.some((one) => one.problem.code === problem.code)) {
      this.unfolded = true;
      this.tell(texts.app.notDone(say(problem).title));
      return;
    }
    const same = JSON.stringify([problem.message, refused, about?.title]);
    const others = this.problems.filter(
      (shown) =>
        JSON.stringify([shown.problem.message, shown.refused, shown.about?.title]) !== same,
    );
    this.problems = [...others, { key: this.#nextKey++, problem, refused, about }];
  }

  /** `null`: all of them. */
  dismiss(key: number | null): void {
    this.problems = this.problems.filter((shown) => key !== null && shown.key !== key);
  }

  /** What was told with this code doesn't hold any more. */
  settle(code: string): void {
    if (this.problems.some((shown) => shown.problem.code === code)) {
      this.problems = this.problems.filter((shown) => shown.problem.code !== code);
    }
  }

  /** Says that something was done; it goes away by itself. */
  tell(notice: string): void {
    this.tellOn(notice);
    this.#noticeTimer = setTimeout(() => (this.notice = ''), 5_000);
  }

  /** Says that something goes on, until something else is said. */
  tellOn(notice: string): void {
    clearTimeout(this.#noticeTimer);
    this.undo = null;
    this.notice = notice;
  }

  /** Says that something was done that can be taken back for a while. */
  offerUndo(text: string, run: () => void): void {
    clearTimeout(this.#undoTimer);
    this.undo = { text, run };
    this.#undoTimer = setTimeout(() => (this.undo = null), UNDO_MS);
  }

  takeBack(): void {
    const undo = this.undo;
    clearTimeout(this.#undoTimer);
    this.undo = null;
    undo?.run();
  }

  /** Puts a text into the clipboard and says so. One that the application has to give is promised in the click. */
  async copy(text: string | Promise<Answer<string>>, notice: string): Promise<void> {
    try {
      await writeClipboard(typeof text === 'string' ? text : text.then(dataOf));
      this.tell(notice);
    } catch {
      const problem = typeof text === 'string' ? null : await failure(text);
      this.show(problem ?? { code: 'window.copy', message: texts.app.copyRefused, help: null });
    }
  }

  /** Changes some settings; answers why they weren't taken. */
  changeSettings(change: Partial<Settings>): Promise<Problem | null> {
    return this.store.changeSettings(change, (part) =>
      this.backend.ask({ cmd: 'change_settings', change: part }),
    );
  }

  go(page: Page): void {
    this.page = page;
  }

  openSettings(focus: SettingsField = 'title'): void {
    void this.look();
    this.settingsFocus = focus;
    if (this.page !== 'settings') this.before = this.page;
    this.page = 'settings';
  }

  openDevice(id: DeviceId, tab: DrawerTab | null = null): void {
    if (this.page === 'settings') this.page = this.before;
    this.tab = tab;
    this.selected = id;
  }

  /** The next device of the page, or the one before. */
  neighbour(by: 1 | -1): DeviceId | undefined {
    const ids = this.order();
    const here = ids.indexOf(this.selected ?? '');
    return here < 0 ? undefined : ids[here + by];
  }

  /** Opens its details. */
  step(by: 1 | -1): void {
    this.selected = this.neighbour(by) ?? this.selected;
  }

  /** Whether somebody is chosen who isn't listed, as far as that can be said by now. */
  get misses(): boolean {
    if (this.selected === null && this.selection.count === 0) return false;
    const { status, devices } = this.store;
    if (status === null || status.configDir.kind === 'reading') return false;
    const ids = idsOf(devices);
    return (
      (this.selected !== null && !ids.has(this.selected)) ||
      [...this.selection.ids].some((id) => !ids.has(id))
    );
  }

  /** Lets go of those who aren't listed any more, and says so of the one that was to be shown. */
  letGo(): void {
    const ids = idsOf(this.store.devices);
    this.selection.keepOnly(ids);
    if (this.selected === null || ids.has(this.selected)) return;
    this.tell(texts.list.gone(this.selected.replace(/^mdns\//, '')));
    this.selected = null;
  }

  /** The list as it is narrowed down and laid out. */
  readonly items: readonly Item[] = $derived.by(() => itemsOf(this.store.devices, this));

  get narrowed(): boolean {
    return this.filter !== null || this.tag !== null;
  }

  /** Shows or hides a column. */
  toggleColumn(column: Column): void {
    const others = this.without.filter((one) => one !== column);
    this.without = others.length < this.without.length ? others : [...others, column];
  }

  /** Sorts by something; once more the other way round. */
  sortBy(sort: Sort): void {
    this.descending = this.sort === sort && !this.descending;
    this.sort = sort;
  }

  /** Shows one kind of devices, or all. */
  showOnly(filter: Filter | null): void {
    this.page = 'devices';
    this.filter = filter;
    this.tag = null;
  }
}

function dataOf<T>(answer: Answer<T>): T {
  if (answer.status === 'error') throw new Error(answer.error.message);
  return answer.data;
}

/** Why a command failed; `null`: it didn't. */
export async function failure(pending: Promise<Answer<unknown>>): Promise<Problem | null> {
  try {
    const answer = await pending;
    return answer.status === 'ok' ? null : answer.error;
  } catch (error) {
    return { code: 'window.command', message: String(error), help: null };
  }
}

export const [getApp, setApp] = createContext<App>();
