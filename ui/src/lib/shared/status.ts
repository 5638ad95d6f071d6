/** What is wrong with the application as a whole. */
import type { Problem, Status } from '../backend';
import { texts } from '../i18n/index.svelte';
import { say } from '../i18n/problems';

export interface StatusProblem {
  key: string;
  title: string;
  problem: Problem;
  /** What it means for the updates. */
  means: string;
  tone: 'warn' | 'bad';
}

/** `inSettings`: what they say themselves is left out. */
export function statusProblems(
  status: Status | null,
  trouble: Problem | null,
  inSettings: boolean,
): StatusProblem[] {
  if (!status) return [];
  const t = texts.banner;
  const { configDir, esphome, network, store } = status;
  const found: StatusProblem[] = [];
  const add = (
    key: string,
    tone: StatusProblem['tone'],
    problem: Problem,
    title: string,
    means = '',
  ) => found.push({ key, tone, problem, title, means });
  if (trouble) add('lost', 'bad', trouble, texts.app.lost);
  if (store) add('store', 'bad', store, t.store, t.storeMeans);
  status.storeWarnings.forEach((problem, n) =>
    add(`store-warning-${n}`, 'warn', problem, say(problem).title),
  );
  if (configDir.kind === 'unreadable') {
    const title = t.configDirUnreadable(configDir.path);
    add('config-dir', 'bad', configDir.problem, title, t.configDirMeans);
  }
  if (!inSettings && esphome.kind === 'missing') {
    add('esphome', 'warn', esphome.problem, say(esphome.problem).message, t.esphomeMeans);
  } else if (!inSettings && esphome.kind === 'ready' && esphome.problem) {
    const means = texts.settings.esphomeStill(esphome.version);
    add('esphome', 'warn', esphome.problem, say(esphome.problem).message, means);
  }
  status.otherTools.forEach((problem, n) =>
    add(`other-tool-${n}`, 'warn', problem, say(problem).title),
  );
  if (network?.code === 'network.none') add('network', 'warn', network, t.noNetwork);
  else if (network) add('network', 'warn', network, say(network).title, t.networkMeans);
  return found;
}
