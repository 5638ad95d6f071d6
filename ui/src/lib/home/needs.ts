/** What needs the user: in a sentence, with what is done about it. */
import type { DeviceView, Problem } from '../backend';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
import type { App } from '../shared/app.svelte';
import { dayAndTime, span } from '../shared/time';
import { perform } from '../updates/actions';
import { ownProblem } from '../updates/groups';
import { changeWords } from '../updates/words';

interface Remedy {
  key: string;
  label: string;
  /** It takes a decision, and does something. */
  decides: boolean;
  run: () => void;
}

interface Need {
  kind: 'failed' | 'rolledBack' | 'held' | 'broken' | 'crashing' | 'overdue' | 'mistaken';
  sentence: string;
  /** What is done first, and what else is near. */
  remedies: Remedy[];
}

/** What it is called, and what happened. */
function sentenceOf(problem: Problem): string {
  const { title, message } = say(problem);
  return title === message ? message : `${title}. ${message}`;
}

function act(
  app: App,
  device: DeviceView,
  action: 'retry' | 'rebuild' | 'cleanAndRetry' | 'resetAndRetry',
  label = texts.action[action],
): Remedy {
  return { key: action, label, decides: true, run: () => void perform(app, device, action) };
}

function why(app: App, device: DeviceView): Remedy {
  const run = () => app.openDevice(device.id, 'update');
  return { key: 'why', label: texts.home.why, decides: false, run };
}

/** Files of another computer aren't opened by this one's desktop. */
function openYaml(app: App, device: DeviceView): Remedy[] {
  if (app.place) return [];
  const run = () => void app.report(app.backend.ask({ cmd: 'open_yaml', device: device.id }));
  return [{ key: 'yaml', label: texts.drawer.openYaml, decides: false, run }];
}

function openSecrets(app: App): Remedy[] {
  const dir = app.store.status?.configDir;
  if (app.place || !dir || !('path' in dir)) return [];
  const run = () =>
    void app.report(app.backend.ask({ cmd: 'open_path', path: `${dir.path}/secrets.yaml` }));
  return [{ key: 'secrets', label: texts.home.openSecrets, decides: false, run }];
}

const CLEANING = ['cleanAndRetry', 'resetAndRetry'] as const;

/** What is done about a failed update, by what went wrong. */
function remediesOf(app: App, device: DeviceView, problem: Problem): Remedy[] {
  const retry = act(app, device, 'retry');
  switch (problem.code) {
    case 'ota.auth_invalid': {
      const run = () => app.dialogs.show({ kind: 'password', device: device.id });
      const enter = { key: 'password', label: texts.home.enterPassword, decides: true, run };
      return [enter, retry];
    }
    case 'build.secret_missing':
      return [...openSecrets(app), retry];
    case 'build.config_invalid':
      return [...openYaml(app, device), retry];
    default: {
      const clean = CLEANING.find((action) => device.secondary.includes(action));
      return clean ? [retry, act(app, device, clean)] : [retry];
    }
  }
}

/** A device that doesn't get through its start: what ran before helps at once. */
function crashRemedies(app: App, device: DeviceView): Remedy[] {
  const t = texts.home;
  const run = () =>
    void app.report(app.backend.ask({ cmd: 'install_previous', device: device.id }));
  const back = { key: 'previous', label: t.installPrevious, decides: true, run };
  return [...(device.previousBuild ? [back] : []), ...openYaml(app, device), why(app, device)];
}

export function needOf(app: App, device: DeviceView): Need {
  const t = texts.home;
  const state = device.update?.state;
  if (state?.kind === 'failed' && state.rolledBack) {
    const again = act(app, device, 'retry', t.installAgain);
    const early = state.problem.code !== 'update.rolled_back';
    const sentence = early
      ? sentenceOf(state.problem)
      : [say(state.problem).title, t.keepAwake].join('. ');
    return { kind: 'rolledBack', sentence, remedies: [again] };
  }
  if (state?.kind === 'failed') {
    const remedies = remediesOf(app, device, state.problem);
    return { kind: 'failed', sentence: sentenceOf(state.problem), remedies };
  }
  if (state?.kind === 'held') {
    const sentence = t.heldSince(changeWords(state.changes));
    const run = () => app.openDevice(device.id, 'update');
    const changes = { key: 'changes', label: t.showChanges, decides: false, run };
    return { kind: 'held', sentence, remedies: [act(app, device, 'rebuild'), changes] };
  }
  const own = ownProblem(device);
  if (own) {
    return { kind: 'broken', sentence: sentenceOf(own), remedies: openYaml(app, device) };
  }
  if (device.crashLoop) {
    const sentence = sentenceOf(device.crashLoop);
    return { kind: 'crashing', sentence, remedies: crashRemedies(app, device) };
  }
  const last = device.update?.lastAttempt;
  if (device.wake?.overdue && device.wake.next !== null) {
    const late = span(app.clock.now - device.wake.next);
    const sentence = t.overdueSince(dayAndTime(device.wake.next, app.clock.now), late);
    return { kind: 'overdue', sentence, remedies: [why(app, device)] };
  }
  const kind = last ? 'mistaken' : 'overdue';
  return {
    kind,
    sentence: last ? sentenceOf(last.problem) : t.overdue,
    remedies: [why(app, device)],
  };
}
