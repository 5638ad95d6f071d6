/** Devices for the stories: one for every state. */
import type { Action, DeviceView, Progress, UpdateStateView, UpdateView, WakeView } from '..';
import { problems } from './problems';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function ago(ms: number): number {
  return Date.now() - ms;
}

/** A device that wakes every `period` minutes and did so `since` minutes ago. */
export function wakes(period: number, since: number, part: Partial<WakeView> = {}): WakeView {
  return {
    rhythm: 'regular',
    periodSeconds: period * 60,
    jitterSeconds: Math.round(period * 2),
    next: ago((since - period) * MINUTE),
    overdue: false,
    windowSeconds: 14,
    ...part,
  };
}

export function device(name: string, part: Partial<DeviceView> = {}): DeviceView {
  const stem = name.toLocaleLowerCase().replaceAll(' ', '-');
  return withActions({
    id: `${stem}.yaml`,
    name: stem,
    friendlyName: name,
    area: null,
    labels: [],
    file: `${stem}.yaml`,
    problem: null,
    crashLoop: null,
    platform: 'esp32',
    presence: 'asleep',
    lastSeen: ago(12 * MINUTE),
    addresses: ['192.168.7.42'],
    mac: '98:35:69:AB:F6:79',
    deployedVersion: '2026.9.2',
    deployedHash: '06b5fb73',
    deepSleep: true,
    wake: wakes(24, 12),
    modified: false,
    updateAvailable: true,
    userAddress: null,
    previousBuild: null,
    recordsLog: false,
    trust: 'proven',
    rival: null,
    hasKey: true,
    update: null,
    primary: 'install',
    secondary: [],
    ...part,
  });
}

/** The actions that fit, by the same rules as the application's. */
export function withActions(device: DeviceView): DeviceView {
  if (device.file === null) return { ...device, primary: 'none', secondary: [] };
  switch (device.update?.state.kind) {
    case 'queued':
    case 'building':
    case 'waiting':
    case 'flashing':
    case 'confirming':
      return { ...device, primary: 'cancel', secondary: [] };
    case 'held':
      return { ...device, primary: 'rebuild', secondary: ['flashAnyway', 'cancel'] };
    case 'failed':
      return { ...device, primary: 'retry', secondary: [...cleaning(device), 'dismiss'] };
    case 'installed':
    case 'cancelled':
    case 'superseded':
    case undefined:
      return { ...device, primary: device.problem ? 'none' : 'install', secondary: [] };
  }
}

function cleaning({ update }: DeviceView): Action[] {
  if (update?.state.kind !== 'failed') return [];
  const { code } = update.state.problem;
  return ['build.compiler_error', 'build.failed'].includes(code) ? ['cleanAndRetry'] : [];
}

let nextUpdate = 1;

/** From the request to the built image. */
export const BUILT_AFTER = 55_000;

/** When an update was asked for that is in this state now. */
function requestedBefore(state: UpdateStateView): number {
  switch (state.kind) {
    case 'queued':
      return ago(MINUTE);
    case 'building':
      return state.since - 4_000;
    case 'waiting':
      return state.since - BUILT_AFTER;
    case 'held':
      return ago(40 * MINUTE);
    case 'flashing':
    case 'confirming':
      return state.since - 36 * MINUTE;
    case 'installed':
    case 'failed':
    case 'cancelled':
    case 'superseded':
      return state.at - 36 * MINUTE;
  }
}

export function update(state: UpdateStateView, part: Partial<UpdateView> = {}): UpdateView {
  return {
    id: nextUpdate++,
    requestedAt: requestedBefore(state),
    state,
    progress: null,
    attempts: 0,
    lastAttempt: null,
    wantedHash: '8d1f02ac',
    wantedVersion: '2026.10.0',
    encrypted: null,
    restsUntil: null,
    warning: null,
    ...part,
  };
}

export function progress(percent: number | null, step: string): Progress {
  return { percent, step };
}

/** `esphome: area:`, and what the user calls them together. */
const AREAS: Record<string, string> = {
  'garden-soil-sensor': 'Garden',
  'rain-gauge': 'Garden',
  'pond-level': 'Garden',
  greenhouse: 'Garden',
  'beehive-scale': 'Garden',
  mailbox: 'Front Door',
  doorbell: 'Front Door',
  'cellar-leak-sensor': 'Cellar',
  'freezer-probe': 'Cellar',
  'attic-lights': 'Attic',
  'bathroom-fan': 'Upstairs',
  'stairs-motion': 'Upstairs',
  'window-blind': 'Living Room with the Fireplace',
  'kitchen-display': 'Kitchen',
  'coffee-machine': 'Kitchen',
};
const LABELS: Record<string, string[]> = {
  'garden-soil-sensor': ['On batteries'],
  'rain-gauge': ['On batteries', 'Solar'],
  'pond-level': ['On batteries'],
  mailbox: ['On batteries'],
  'cellar-leak-sensor': ['On batteries', 'Water'],
};

/** Every state of an update, a broken file and what was only discovered. */
export function everyState(): DeviceView[] {
  return states().map((one) => ({
    ...one,
    area: AREAS[one.name] ?? null,
    labels: LABELS[one.name] ?? [],
  }));
}

function states(): DeviceView[] {
  const online = {
    presence: 'online',
    deepSleep: false,
    wake: null,
    lastSeen: ago(4_000),
  } as const;
  const current = {
    deployedVersion: '2026.10.0',
    deployedHash: '8d1f02ac',
    updateAvailable: false,
  } as const;
  const unheard = {
    presence: 'unknown' as const,
    lastSeen: null,
    addresses: [],
    mac: null,
    deployedVersion: null,
    deployedHash: null,
    deepSleep: false,
    wake: null,
    updateAvailable: false,
  };
  const fresh = { wantedHash: null, wantedVersion: null };
  return [
    device('Garden Soil Sensor', {
      update: update(
        { kind: 'waiting', since: ago(96 * MINUTE), mayHaveArrived: false },
        { attempts: 2, lastAttempt: { at: ago(12 * MINUTE), problem: problems.connectionLost } },
      ),
    }),
    device('Mailbox', {
      lastSeen: ago(5 * HOUR),
      addresses: ['192.168.7.51'],
      modified: true,
      userAddress: 'mailbox.lan',
      wake: wakes(0, 0, {
        rhythm: 'irregular',
        next: null,
        periodSeconds: null,
        jitterSeconds: null,
      }),
      update: update(
        { kind: 'waiting', since: ago(20 * MINUTE), mayHaveArrived: false },
        { warning: problems.credentialsChanged },
      ),
    }),
    device('Cellar Leak Sensor', {
      lastSeen: ago(31 * HOUR),
      addresses: ['192.168.7.77'],
      wake: wakes(720, 1860, { overdue: true }),
      update: update({ kind: 'waiting', since: ago(30 * HOUR), mayHaveArrived: false }),
    }),
    device('Attic Lights', {
      presence: 'offline',
      deepSleep: false,
      wake: null,
      lastSeen: ago(3 * DAY + HOUR),
      platform: 'esp8266',
      addresses: ['192.168.7.19'],
      update: update({ kind: 'waiting', since: ago(2 * DAY), mayHaveArrived: false }),
    }),
    device('Bathroom Fan', {
      ...online,
      addresses: ['192.168.7.12'],
      update: update(
        { kind: 'building', since: ago(50_000) },
        { ...fresh, progress: progress(40, 'Compiling .pioenvs/bathroom-fan/src/main.cpp.o') },
      ),
    }),
    device('Beehive Scale', {
      lastSeen: ago(31 * MINUTE),
      wake: wakes(60, 31, { rhythm: 'configured', jitterSeconds: null }),
      update: update({ kind: 'queued', ahead: 1, again: null }, fresh),
    }),
    device('Rain Gauge', {
      update: update({
        kind: 'held',
        changes: [{ path: 'rain-gauge.yaml', kind: 'edited' }],
        mayHaveArrived: false,
      }),
    }),
    device('Greenhouse', {
      presence: 'online',
      lastSeen: ago(2_000),
      addresses: ['192.168.7.33', 'fe80::9a35:69ff:feab:f679'],
      update: update(
        { kind: 'flashing', since: ago(6_000), address: '192.168.7.33' },
        { attempts: 1, encrypted: true, progress: progress(62, 'Sending the image') },
      ),
    }),
    device('Doorbell', {
      presence: 'online',
      lastSeen: ago(9_000),
      update: update(
        { kind: 'confirming', since: ago(9_000), acknowledged: true },
        { attempts: 1 },
      ),
    }),
    device('Freezer Probe', {
      lastSeen: ago(90_000),
      update: update(
        { kind: 'confirming', since: ago(80_000), acknowledged: false },
        { attempts: 1 },
      ),
    }),
    device('Kitchen Display', {
      ...online,
      ...current,
      update: update(
        { kind: 'installed', at: ago(2 * MINUTE), how: 'confirmed', watched: true },
        { attempts: 1, encrypted: true },
      ),
    }),
    device('Pond Level', {
      update: update(
        {
          kind: 'failed',
          at: ago(3 * HOUR),
          rolledBack: false,
          mayHaveArrived: false,
          problem: problems.wrongPassword,
        },
        { attempts: 1 },
      ),
    }),
    device('Workshop Heater', {
      ...online,
      update: update(
        {
          kind: 'failed',
          at: ago(25 * MINUTE),
          rolledBack: true,
          mayHaveArrived: false,
          problem: problems.rolledBack,
        },
        { attempts: 1 },
      ),
    }),
    device('Stairs Motion', {
      update: update({ kind: 'cancelled', at: ago(45 * MINUTE), mayHaveArrived: true }),
    }),
    device('Window Blind', { ...unheard }),
    device('Hallway Thermostat', { ...online, modified: true, addresses: ['192.168.7.60'] }),
    device('Coffee Machine', { ...online, ...current, addresses: ['192.168.7.61'] }),
    device('Balcony Weather Station with a rather long name', {
      lastSeen: ago(48 * MINUTE),
      wake: wakes(60, 48),
    }),
    device('old-pump', {
      friendlyName: null,
      ...unheard,
      platform: null,
      problem: problems.yamlSyntax,
    }),
    device('living-room-plug', {
      id: 'mdns/living-room-plug',
      friendlyName: 'Living Room Plug',
      file: null,
      ...online,
      updateAvailable: false,
      platform: 'bk72xx',
      addresses: ['192.168.7.88'],
    }),
    device('neighbour-lamp', {
      id: 'mdns/neighbour-lamp',
      friendlyName: null,
      file: null,
      presence: 'offline',
      deepSleep: false,
      wake: null,
      updateAvailable: false,
      lastSeen: ago(2 * HOUR),
      platform: 'esp8266',
      addresses: ['192.168.7.97'],
      deployedVersion: '2025.12.4',
    }),
  ];
}

/** One whose state changes all the time. */
export function stirred(device: DeviceView): DeviceView {
  const since = Date.now();
  const flashing = device.update?.state.kind === 'flashing';
  const state: UpdateStateView = flashing
    ? { kind: 'waiting', since, mayHaveArrived: false }
    : { kind: 'flashing', since, address: '192.168.7.42' };
  return { ...device, update: { ...(device.update ?? update(state)), state } };
}

/** The same with a label, or without it. */
export function labelled(device: DeviceView, label: string, on: boolean): DeviceView {
  const rest = device.labels.filter((one) => one !== label);
  return { ...device, labels: on ? [...rest, label].sort() : rest };
}

export function manyDevices(count: number): DeviceView[] {
  const rooms = ['Attic', 'Cellar', 'Garden', 'Kitchen', 'Office', 'Porch', 'Shed', 'Stable'];
  const things = ['Lamp', 'Leak Sensor', 'Meter', 'Plug', 'Probe', 'Scale', 'Thermometer', 'Valve'];
  const samples = everyState().filter((sample) => sample.file !== null && !sample.problem);
  return Array.from({ length: count }, (_, n) => {
    const room = rooms[n % rooms.length] ?? '';
    const thing = things[Math.floor(n / rooms.length) % things.length] ?? '';
    const like = samples[(n * 7) % samples.length];
    const own = device(`${room} ${thing} ${n + 1}`);
    if (!like) return own;
    const { id, name, friendlyName, file } = own;
    // Each update has an id of its own.
    const its = like.update && { ...like.update, id: nextUpdate++ };
    return { ...like, id, name, friendlyName, file, area: room, update: its };
  });
}

/** 60 devices that were asked to be updated at the same moment: 34 are done, 22 wait, 2 are under way, 2 need somebody. */
export function batchDevices(): DeviceView[] {
  const requestedAt = ago(26 * HOUR);
  const stateOf = (n: number): UpdateStateView => {
    if (n < 34)
      return {
        kind: 'installed',
        at: ago((n + 1) * 40 * MINUTE),
        how: 'confirmed',
        watched: false,
      };
    if (n < 56) return { kind: 'waiting', since: ago(25 * HOUR), mayHaveArrived: false };
    if (n === 56) return { kind: 'flashing', since: ago(4_000), address: '192.168.7.90' };
    if (n === 57) return { kind: 'confirming', since: ago(9_000), acknowledged: true };
    if (n === 58) {
      return {
        kind: 'failed',
        at: ago(3 * HOUR),
        problem: problems.wrongPassword,
        rolledBack: false,
        mayHaveArrived: false,
      };
    }
    return {
      kind: 'held',
      changes: [{ path: 'common/wifi.yaml', kind: 'edited' }],
      mayHaveArrived: false,
    };
  };
  return manyDevices(60).map((one, n) => {
    const state = stateOf(n);
    const done = state.kind === 'installed';
    return withActions({
      ...one,
      presence: 'asleep',
      deepSleep: true,
      wake: wakes(60 * (1 + (n % 5)), 5 + n),
      deployedVersion: done ? '2026.10.0' : '2026.9.2',
      updateAvailable: !done,
      problem: null,
      update: update(state, {
        requestedAt,
        progress: state.kind === 'flashing' ? progress(48, 'Sending the image') : null,
      }),
    });
  });
}
