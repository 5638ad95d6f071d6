/** What devices say in their logs. */
import type { DeviceId, DeviceView, LogRecording } from '..';
import { no, ok, type Commands } from './answers';
import { FakeDesktop } from './desktop';
import { problems } from './problems';

const G = '\u001b[0;32m';
const C = '\u001b[0;36m';
const Y = '\u001b[0;33m';
const P = '\u001b[0;35m';
const R = '\u001b[0m';

function said(name: string): string[] {
  return [
    `${G}[I][app:102]: ESPHome version 2026.9.2 compiled on 2026-11-29 18:02:11 +0100${R}`,
    `${P}[C][wifi:600]: WiFi:${R}`,
    `${P}[C][wifi:428]:   SSID: •••${R}`,
    `${P}[C][deep_sleep:019]: Deep sleep: run duration 10 s${R}`,
    `${C}[D][api:103]: Accepted 192.168.7.10${R}`,
    `${C}[D][sensor:094]: '${name} Battery': Sending state 71.00000 % with 0 decimals of accuracy${R}`,
    `${Y}[W][component:443]: sht3xd.sensor took a long time for an operation (52 ms)${R}`,
    `${C}[D][sensor:094]: '${name} Temperature': Sending state 21.50000 °C with 1 decimals of accuracy${R}`,
    `${G}[I][deep_sleep:060]: Beginning sleep${R}`,
  ];
}

export abstract class FakeLogs extends FakeDesktop {
  protected abstract find(id: DeviceId): DeviceView | undefined;
  protected abstract show(device: DeviceView): void;

  device_log: Commands['device_log'] = async ({ device: id, from }) => {
    const device = this.find(id);
    if (!device) return no(problems.unknownDevice);
    const level = 'DEBUG';
    if (device.presence !== 'online') {
      const problem = problems.logAsleep;
      return ok({ state: { kind: 'waiting', problem }, firstLine: 0, lines: [], level });
    }
    const lines = said(device.friendlyName ?? device.name).slice(0, -1);
    const since = Date.now() - 4_000;
    return ok({ state: { kind: 'live', since }, firstLine: from, lines: lines.slice(from), level });
  };

  record_log: Commands['record_log'] = async ({ device: id, on }) => {
    this.calls.push(`recordLog ${id} ${on}`);
    const device = this.find(id);
    if (!device) return no(problems.unknownDevice);
    this.show({ ...device, recordsLog: on });
    return ok(null);
  };

  log_recordings: Commands['log_recordings'] = async ({ device: id }) => {
    const device = this.find(id);
    if (!device?.deepSleep || device.lastSeen === null) return ok([]);
    const at = device.lastSeen - 9_000;
    const lines = said('').length;
    const first: LogRecording = { at, wakeAt: at, seconds: 9, lines, end: 'slept' };
    return ok([first, { ...first, at: at - 86_400_000, seconds: 4, lines: 5, end: 'update' }]);
  };

  log_recording: Commands['log_recording'] = async ({ device: id }) => {
    const device = this.find(id);
    return device ? ok(said(device.friendlyName ?? device.name)) : no(problems.unknownDevice);
  };
}
