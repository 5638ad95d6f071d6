/** What needs the user: in a sentence, with what is done about it. */
import type { DeviceView } from '../backend';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';
import type { App } from '../shared/app.svelte';
import { dayAndTime, span } from '../shared/time';
import { perform } from '../updates/actions';
import { changeWords } from '../updates/words';

export interface Remedy {
  key: string;
  label: string;
  run: () => void;
}

export interface Need {
  kind: 'failed' | 'rolledBack' | 'held' | 'broken' | 'overdue' | 'mistaken';
  sentence: string;
  /** What is done first, and what else is near. */
  remedies: Remedy[];
}

export function needOf(app: App, device: DeviceView): Need {
  const t = texts.home;
  const state = device.update?.state;
  const act = (action: 'retry' | 'rebuild', label = texts.action[action]): Remedy => ({
    key: action,
    label,
    run: () => void perform(app, device, action),
  });
  const why: Remedy = { key: 'why', label: t.why, run: () => app.openDevice(device.id, 'update') };
  const openYaml: Remedy = {
    key: 'yaml',
    label: texts.drawer.openYaml,
    run: () => void app.report(app.backend.openYaml(device.id)),
  };
  if (state?.kind === 'failed') {
    const said = say(state.problem);
    const kind = state.rolledBack ? 'rolledBack' : 'failed';
    return { kind, sentence: state.rolledBack ? said.title : said.title, remedies: [act('retry')] };
  }
  if (state?.kind === 'held') {
    return { kind: 'held', sentence: changeWords(state.changes), remedies: [act('rebuild')] };
  }
  if (device.problem) {
    const said = say(device.problem);
    return { kind: 'broken', sentence: `${said.title}. ${said.message}`, remedies: [openYaml] };
  }
  const last = device.update?.lastAttempt;
  if (device.wake?.overdue && device.wake.next !== null) {
    const late = span(app.clock.now - device.wake.next);
    const sentence = t.overdueSince(dayAndTime(device.wake.next, app.clock.now), late);
    return { kind: 'overdue', sentence, remedies: [why] };
  }
  const sentence = last ? say(last.problem).title : t.overdue;
  return { kind: last ? 'mistaken' : 'overdue', sentence, remedies: [why] };
}
