/** What every component can reach: the backend, the state, and where the user is. */
import { createContext } from 'svelte';
import type { Answer, AppInfo, Backend, DeviceId, Problem, Settings } from '../backend';
import type { Group } from '../updates/words';
import { Clock } from './clock.svelte';
import { Store } from './store.svelte';

export interface Question {
  title: string;
  body: string;
  yes: string;
  no: string;
  /** A third answer. */
  other?: string;
}

export type Reply = 'yes' | 'no' | 'other';

/** Asks the user one thing at a time. */
export class Dialogs {
  current: Question | null = $state.raw(null);
  #resolve: ((reply: Reply) => void) | null = null;

  ask(question: Question): Promise<Reply> {
    this.answer('no');
    this.current = question;
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  answer(reply: Reply): void {
    const resolve = this.#resolve;
    this.#resolve = null;
    this.current = null;
    resolve?.(reply);
  }
}

export type Page = 'devices' | 'settings';

export class App {
  readonly backend: Backend;
  readonly store: Store;
  readonly clock = new Clock();
  readonly dialogs = new Dialogs();
  info: AppInfo | null = $state.raw(null);
  page: Page = $state('devices');
  selected: DeviceId | null = $state(null);
  query = $state('');
  group: Group | null = $state(null);
  /** Commands that failed, newest last. */
  problems: { key: number; problem: Problem }[] = $state.raw([]);
  /** Which setting to put the focus on when the page opens. */
  settingsFocus: 'configDir' | 'esphome' | null = $state(null);
  #nextKey = 0;

  constructor(backend: Backend) {
    this.backend = backend;
    this.store = new Store(backend);
  }

  /** Waits for a command and shows why it failed, when it did. */
  async report(pending: Promise<Answer<unknown>>): Promise<void> {
    const problem = await failure(pending);
    if (problem) this.show(problem);
  }

  show(problem: Problem): void {
    const others = this.problems.filter((shown) => shown.problem.message !== problem.message);
    this.problems = [...others.slice(-2), { key: this.#nextKey++, problem }];
  }

  dismiss(key: number): void {
    this.problems = this.problems.filter((shown) => shown.key !== key);
  }

  /** Changes some settings; answers why they weren't taken. */
  changeSettings(change: Partial<Settings>): Promise<Problem | null> {
    const now = this.store.settings;
    if (!now) return Promise.resolve(null);
    return failure(this.backend.setSettings({ ...now, ...change }));
  }

  openSettings(focus: 'configDir' | 'esphome' | null = null): void {
    this.settingsFocus = focus;
    this.page = 'settings';
  }
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
