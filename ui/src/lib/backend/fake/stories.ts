/** What the fake backend starts with: one story for each thing that the window must be able to show. */
import type {
  AppInfo,
  ConfigDirCandidate,
  Counts,
  DeviceView,
  Settings,
  SourceChange,
  Status,
} from '..';
import { tally } from '../../updates/groups';
import { batchDevices, device, everyState, manyDevices } from './devices';
import { problems } from './problems';

export interface Story {
  devices: DeviceView[];
  status: Omit<Status, 'counts'>;
  settings: Settings;
  info: AppInfo;
  candidates: ConfigDirCandidate[];
  /** Commands are refused with words. */
  refuses: boolean;
  /** The window is asked to close at the start. */
  asksToClose: boolean;
  /** How many devices change their state every second. */
  changesPerSecond: number;
}

export function countsOf(devices: Iterable<DeviceView>): Counts {
  const { waiting, working, attention } = tally([...devices]);
  return { waiting, working, attention };
}

const DIR = '/home/sam/esphome';

function base(): Story {
  return {
    devices: everyState(),
    status: {
      configDir: { kind: 'ready', path: DIR },
      esphome: {
        kind: 'ready',
        path: '/usr/local/bin/esphome',
        version: '2026.10.0',
        problem: null,
      },
      store: null,
      storeWarnings: [],
      network: null,
      paused: false,
      otherTools: [],
    },
    settings: {
      configDir: DIR,
      esphomePath: null,
      ownEsphome: false,
      compilerCache: null,
      changedSources: 'hold',
      maxBuilds: 1,
      maxFlashes: 4,
      notify: { installed: true, failed: true, held: true, overdue: true },
      theme: 'system',
      language: 'system',
      startAtLogin: false,
      paused: false,
    },
    info: {
      version: '0.1.0',
      tray: true,
      reopens: true,
      demo: false,
      place: null,
      places: [],
      logDir: '/home/sam/.local/state/wakeflash/logs',
      license: 'MIT',
      notifications: { present: true, actions: true },
      startProblem: null,
      damage: null,
    },
    candidates: [
      { path: DIR, devices: 17 },
      { path: '/home/sam/homeassistant/esphome', devices: 3 },
    ],
    refuses: false,
    asksToClose: false,
    changesPerSecond: 0,
  };
}

const CHANGES: readonly SourceChange[] = [
  { path: 'common/tips.h', kind: 'added' },
  { path: 'fonts/digits.ttf', kind: 'edited' },
  { path: 'rain-gauge.yaml', kind: 'edited' },
  { path: 'secrets.yaml', kind: 'edited' },
];

const missing = { kind: 'missing', problem: problems.esphomeMissing } as const;

export const stories: Record<string, () => Story> = {
  /** Every state at once; what is clicked goes its way. */
  demo: base,
  /** Files of every kind have changed under an update that waits. */
  changes: () => ({
    ...base(),
    devices: everyState().map((one) => {
      if (one.update?.state.kind !== 'held') return one;
      const state = { ...one.update.state, changes: [...CHANGES] };
      return { ...one, update: { ...one.update, state } };
    }),
  }),
  quiet: () => ({
    ...base(),
    devices: everyState().map((one) =>
      device(one.friendlyName ?? one.name, { ...one, update: null }),
    ),
  }),
  'first-run': () => ({
    ...base(),
    devices: [],
    status: { ...base().status, configDir: { kind: 'unset' } },
    settings: { ...base().settings, configDir: null },
  }),
  'first-run-bare': () => ({
    ...base(),
    devices: [],
    candidates: [],
    status: { ...base().status, configDir: { kind: 'unset' }, esphome: missing },
    settings: { ...base().settings, configDir: null },
  }),
  empty: () => ({ ...base(), devices: [] }),
  reading: () => ({
    ...base(),
    devices: [],
    status: {
      ...base().status,
      configDir: { kind: 'reading', path: DIR },
      esphome: { kind: 'searching' },
    },
  }),
  /** Nothing can be compared without it. */
  'no-esphome': () => ({
    ...base(),
    devices: everyState().map((one) => ({ ...one, modified: false, updateAvailable: false })),
    status: { ...base().status, esphome: missing },
  }),
  'installing-esphome': () => ({
    ...base(),
    status: {
      ...base().status,
      esphome: { kind: 'installing', step: 'Downloading 14 of 62 packages, 21 MB', percent: 20 },
    },
  }),
  trouble: () => ({
    ...base(),
    refuses: true,
    status: {
      paused: false,
      otherTools: [problems.otherTool],
      configDir: { kind: 'unreadable', path: DIR, problem: problems.folderMissing },
      esphome: missing,
      store: problems.storeUnwritable,
      storeWarnings: [problems.setAside],
      network: problems.mdnsPort,
    },
  }),
  /** Nothing was ever installed from here. */
  'first-home': () => ({
    ...base(),
    devices: ['Mailbox', 'Porch Light'].map((name) =>
      device(name, { deployedVersion: null, updateAvailable: false, lastSeen: null }),
    ),
  }),
  /** All were updated at once, a while ago. */
  batch: () => ({ ...base(), devices: batchDevices() }),
  /** Nothing that is asked for can be saved. */
  refuses: () => ({ ...base(), refuses: true }),
  'no-network': () => ({
    ...base(),
    status: {
      ...base().status,
      network: problems.noNetwork,
    },
  }),
  'start-problem': () => ({
    ...base(),
    info: {
      ...base().info,
      startProblem: problems.storeNewer,
    },
  }),
  damaged: () => ({
    ...base(),
    info: {
      ...base().info,
      startProblem: {
        code: 'store.damaged',
        message:
          'The database of the queue is damaged: Tree 4 page 17: btreeInitPage() returns error code 11.',
        help: 'Restore the last backup, or start with an empty queue. The damaged file is kept.',
      },
      damage: {
        reason: 'Tree 4 page 17: btreeInitPage() returns error code 11',
        backup: {
          at: Date.now() - 7 * 60 * 60 * 1_000,
          devices: 17,
          underWay: ['garden-soil-sensor.yaml', 'attic-window.yaml'],
        },
        lost: ['garage-door.yaml'],
      },
    },
  }),
  /** Nothing is known of these yet. */
  unseen: () => ({
    ...base(),
    devices: ['Mailbox', 'Porch Light', 'Well Pump'].map((name) =>
      device(name, {
        presence: 'unknown',
        lastSeen: null,
        addresses: [],
        mac: null,
        deployedVersion: null,
        deployedHash: null,
        updateAvailable: false,
        wake: null,
      }),
    ),
  }),
  closing: () => ({ ...base(), asksToClose: true }),
  paused: () => ({
    ...base(),
    settings: { ...base().settings, paused: true },
    status: { ...base().status, paused: true },
  }),
  german: () => ({ ...base(), settings: { ...base().settings, language: 'de' } }),
  storm: () => ({
    ...base(),
    changesPerSecond: 100,
    devices: [...manyDevices(1_000), ...everyState().slice(-2)],
  }),
  many: () => ({ ...base(), devices: [...manyDevices(1_000), ...everyState().slice(-2)] }),
};
