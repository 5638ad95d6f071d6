/** An update's state in words: one place for the list, the drawer and the announcements. */
import type { Action, DeviceView, Problem, SourceChange, StateKind, UpdateView } from '../backend';
import { assertNever } from '../shared/assert';
import { texts } from '../i18n/index.svelte';
import { say, translateSentence } from '../i18n/problems';
import { isUnseen, isUntold } from '../devices/presence';
import { ago, span, timeOfDay } from '../shared/time';
import { refusalOf } from './refusal';

const MINUTE = 60_000;

/** How a state is drawn: which colour and which weight. */
export type Tone = 'idle' | 'waiting' | 'working' | 'good' | 'warn' | 'bad';

export interface StateWords {
  tone: Tone;
  /** The state in words, complete in itself. */
  title: string;
  /** What a narrow place may put under the title instead of behind it. */
  rest?: string;
  /** What is good to know beside it, in one line; empty: nothing. */
  detail: string;
  /** The same at length, where the line is a part of it. */
  tip?: string;
  /** What it means for the user, in a sentence or two. */
  meaning: string;
}

export function displayName(device: DeviceView): string {
  return device.friendlyName?.trim() || device.name;
}

export function actionName(action: Exclude<Action, 'none'>): string {
  return texts.action[action];
}

/** What stands above a warning: whether it keeps the update, may keep the device from it, or neither. */
export function warningTitle({ code }: Problem): string {
  switch (code) {
    case 'build.waits_for_directory':
    case 'update.other_directory':
    case 'update.transfers_limited':
      return texts.update.hindered;
    case 'update.built_elsewhere':
      return texts.update.aside;
    default:
      return texts.update.warning;
  }
}

/** "secrets.yaml changed", or how many files did. */
export function changeWords(changes: readonly SourceChange[]): string {
  const [first] = changes;
  if (first && changes.length === 1) return texts.update.changed[first.kind](first.path);
  return texts.update.filesChanged(changes.length);
}

function withPercent(state: string, update: UpdateView): string {
  const percent = update.progress?.percent ?? null;
  return percent === null ? state : texts.update.percent(state, percent);
}

function attemptsDetail(update: UpdateView): string {
  if (!update.lastAttempt) return '';
  const last = say(update.lastAttempt.problem).title;
  return update.attempts > 0 ? `${texts.update.attempts(update.attempts)} · ${last}` : last;
}

function withoutUpdate(device: DeviceView): string {
  const refusal = refusalOf(device);
  if (refusal) return say(refusal).title;
  if (device.file === null) return texts.list.noConfiguration;
  if (device.modified) return texts.update.modified;
  if (device.updateAvailable) return texts.update.available;
  if (device.deployedVersion !== null) return texts.update.upToDate;
  return isUnseen(device) ? texts.update.neverSeen : texts.update.untold;
}

function wordsOf(device: DeviceView, now: number, paused: boolean): StateWords {
  const { update } = device;
  if (!update) {
    const refusal = refusalOf(device);
    const broken = refusal !== null;
    const discovered = device.file === null;
    return {
      tone: broken ? 'bad' : 'idle',
      title: withoutUpdate(device),
      detail: refusal ? say(refusal).message : '',
      meaning: broken ? '' : discovered ? texts.meaning.noneDiscovered : texts.meaning.none,
    };
  }
  const { state } = update;
  switch (state.kind) {
    case 'queued': {
      const { again } = state;
      if (again && !paused) {
        const { title, message } = say(again.problem);
        return {
          tone: 'warn',
          title: texts.update.notBuilt(title),
          rest:
            again.at === null
              ? texts.update.buildsAtItsTurn
              : texts.update.buildsAgainBy(timeOfDay(again.at, now)),
          detail: '',
          meaning: message,
        };
      }
      return {
        tone: 'working',
        title: paused
          ? texts.update.queuedPaused
          : update.warning
            ? texts.update.queuedWaits
            : texts.update.queued(state.ahead),
        detail: '',
        meaning: paused ? texts.meaning.queuedPaused : update.warning ? '' : texts.meaning.queued,
      };
    }
    case 'building':
      return {
        tone: 'working',
        title: withPercent(texts.update.building, update),
        detail: translateSentence(update.progress?.step ?? ''),
        meaning: texts.meaning.building,
      };
    case 'waiting': {
      const sleeper = device.deepSleep || device.presence === 'asleep';
      const rest = update.restsUntil;
      if (rest !== null && rest > now) {
        const title = texts.update.rests(timeOfDay(rest, now));
        const detail = attemptsDetail(update);
        return { tone: 'warn', title, detail, meaning: texts.meaning.rests };
      }
      const title = paused
        ? texts.update.waitingPaused
        : sleeper
          ? texts.update.waitingForWake
          : device.presence === 'online'
            ? texts.update.waitingOnline
            : texts.update.waitingForDevice;
      return {
        tone: 'waiting',
        title,
        rest: now - state.since < MINUTE ? '' : texts.update.since(span(now - state.since)),
        detail: attemptsDetail(update),
        meaning: paused
          ? texts.meaning.waitingPaused
          : sleeper
            ? texts.meaning.waitingForWake
            : texts.meaning.waitingForDevice,
      };
    }
    case 'held':
      return {
        tone: 'warn',
        title: texts.update.held(
          update.warning?.code === 'build.changes_sources'
            ? say(update.warning).title
            : changeWords(state.changes),
        ),
        detail: '',
        meaning: texts.meaning.held,
      };
    case 'flashing':
      return {
        tone: 'working',
        title: withPercent(texts.update.flashing, update),
        detail: translateSentence(update.progress?.step ?? ''),
        meaning: texts.meaning.flashing(state.address),
      };
    case 'confirming':
      return {
        tone: 'working',
        title: texts.update.confirming,
        detail: state.acknowledged ? texts.update.confirmingDetail : texts.update.confirmingUnknown,
        meaning: state.acknowledged ? texts.meaning.confirming : texts.meaning.confirmingUnknown,
      };
    case 'installed':
      return {
        tone: 'good',
        title: texts.update.installed(ago(state.at, now)),
        detail: state.watched ? texts.update.watched : texts.meaning[state.how],
        meaning: state.watched
          ? `${texts.meaning[state.how]} ${texts.meaning.watched}`
          : texts.meaning[state.how],
      };
    case 'failed': {
      const said = say(state.problem);
      return {
        tone: 'bad',
        title: state.rolledBack ? texts.update.rolledBack : texts.update.failed(said.title),
        detail: said.help ?? said.message,
        tip: [said.message, said.help].filter(Boolean).join(' '),
        // That it runs its old firmware is what a rollback says itself.
        meaning: state.rolledBack
          ? ''
          : state.mayHaveArrived
            ? texts.meaning.failedLate
            : texts.meaning.failed,
      };
    }
    case 'cancelled':
      return {
        tone: 'idle',
        title: texts.update.cancelled(ago(state.at, now)),
        detail: state.mayHaveArrived ? texts.update.mayHaveArrived : '',
        meaning: state.mayHaveArrived ? texts.meaning.cancelledLate : texts.meaning.cancelled,
      };
    case 'superseded':
      return {
        tone: 'idle',
        title: texts.update.superseded,
        detail: texts.meaning.superseded,
        meaning: texts.meaning.superseded,
      };
    default:
      return assertNever(state);
  }
}

/** An update's state in words, with the time in its title; `paused`: whether no build and no flash begins. */
export function stateWords(device: DeviceView, now: number, paused: boolean): StateWords {
  const words = wordsOf(device, now, paused);
  return words.rest ? { ...words, title: `${words.title} ${words.rest}`, rest: '' } : words;
}

/** The same for a row of the list: a short title, the time first in what stands under it. */
export function rowWords(device: DeviceView, now: number, paused: boolean): StateWords {
  const words = wordsOf(device, now, paused);
  if (!device.update && (isUnseen(device) || isUntold(device))) {
    return { ...words, title: texts.update.versionUnknown };
  }
  const state = device.update?.state;
  // Its sign says that it failed.
  if (state?.kind === 'failed' && !state.rolledBack) {
    return { ...words, title: say(state.problem).title };
  }
  const detail = [words.rest, words.detail].filter(Boolean).join(' · ');
  return words.rest ? { ...words, detail, rest: '' } : words;
}

/** "2026.9.2 → 2026.10.0": what runs, and what is to be installed; `builds`: what builds it when it isn't built yet. */
export function versionChange(
  { deployedVersion, update }: DeviceView,
  builds: string | null,
): string {
  const wanted = update?.wantedVersion ?? builds;
  if (wanted === null) return deployedVersion ?? '';
  if (deployedVersion === null) return texts.home.to(wanted);
  return deployedVersion === wanted ? wanted : texts.home.fromTo(deployedVersion, wanted);
}

/** How a state is drawn in the timeline. */
export function toneOf(kind: StateKind): Tone {
  switch (kind) {
    case 'queued':
    case 'building':
    case 'flashing':
    case 'confirming':
      return 'working';
    case 'waiting':
      return 'waiting';
    case 'held':
      return 'warn';
    case 'installed':
      return 'good';
    case 'failed':
      return 'bad';
    case 'cancelled':
    case 'superseded':
      return 'idle';
    default:
      return assertNever(kind);
  }
}

/** Whether the update isn't over yet. */
export function isActive(kind: StateKind): boolean {
  switch (kind) {
    case 'queued':
    case 'building':
    case 'waiting':
    case 'held':
    case 'flashing':
    case 'confirming':
      return true;
    case 'installed':
    case 'failed':
    case 'cancelled':
    case 'superseded':
      return false;
    default:
      return assertNever(kind);
  }
}

/** Whether the update has a bar, and how far it is. */
export function barOf(update: UpdateView): { percent: number | null } | null {
  switch (update.state.kind) {
    case 'building':
    case 'flashing':
      return { percent: update.progress?.percent ?? null };
    // A device that sleeps may take hours to say its word: nothing moves meanwhile.
    case 'confirming':
    case 'queued':
    case 'waiting':
    case 'held':
    case 'installed':
    case 'failed':
    case 'cancelled':
    case 'superseded':
      return null;
    default:
      return assertNever(update.state);
  }
}
