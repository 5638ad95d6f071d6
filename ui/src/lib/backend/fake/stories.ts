/** What the fake backend starts with: one story for each thing that the window must be able to show. */
import type { AppInfo, ConfigDirCandidate, Counts, DeviceView, Settings, Status } from '..';
import { groupOf } from '../../updates/words';
import { device, everyState, manyDevices } from './devices';

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
  const counts = { waiting: 0, working: 0, attention: 0 };
  for (const device of devices) {
    const group = groupOf(device);
    if (group) counts[group] += 1;
  }
  return counts;
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

const missing = {
  kind: 'missing',
  problem: {
    code: 'esphome.missing',
    message: 'ESPHome was not found on this computer.',
    help: 'Let Wakeflash install it, or say where its program is.',
  },
} as const;

export const stories: Record<string, () => Story> = {
  /** Every state at once; what is clicked goes its way. */
  demo: base,
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
      otherTools: [
        {
          code: 'other_tools.device_builder',
          message:
            'ESPHome Device Builder has an update of its own queued for garden-soil-sensor.yaml.',
          help: 'Both would flash it at its next wake. Cancel one of the two.',
        },
      ],
      configDir: {
        kind: 'unreadable',
        path: DIR,
        problem: {
          code: 'config_dir.missing',
          message: 'The folder doesn’t exist any more.',
          help: 'When it lies on a drive or a share, connect that; it is read again by itself.',
        },
      },
      esphome: missing,
      store: {
        code: 'store.unwritable',
        message: 'The disk is full.',
        help: 'Free some space on the disk that holds your home directory.',
      },
      storeWarnings: [
        {
          code: 'store.set_aside',
          message:
            'What was stored about attic.yaml, garage.yaml can’t be read and was set aside.',
          help: 'Everything else works. Updates of it that were under way have to be asked for again; what is known of a device is learned again.',
        },
      ],
      network: {
        code: 'network.mdns',
        message: 'Another program keeps UDP port 5353 for itself.',
        help: 'End the program that uses it, or wait: known addresses are still tried.',
      },
    },
  }),
  'no-network': () => ({
    ...base(),
    status: {
      ...base().status,
      network: {
        code: 'network.none',
        message: 'This computer isn’t connected to a network.',
        help: 'Waiting updates keep waiting, and go on when the network is back.',
      },
    },
  }),
  'start-problem': () => ({
    ...base(),
    info: {
      ...base().info,
      startProblem: {
        code: 'store.newer',
        message:
          'The data was written by a newer Wakeflash (schema 7; this version knows up to 3).',
        help: 'Start the newer version, or move the data directory away to begin anew.',
      },
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
