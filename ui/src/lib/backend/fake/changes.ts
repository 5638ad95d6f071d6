/** What has changed in the sources of the stories' builds. */
import type { DeviceView, DiffHunk, SourceChange, SourceDiff } from '..';

const YAML: DiffHunk = {
  oldLine: 11,
  newLine: 11,
  lines: [
    { kind: 'same', text: 'sensor:' },
    { kind: 'same', text: '  - platform: pulse_counter' },
    { kind: 'old', text: '    pin: GPIO4' },
    { kind: 'new', text: '    pin: GPIO5' },
    { kind: 'new', text: '    name: "Rain"  # mm/h' },
    { kind: 'same', text: '    update_interval: 60s' },
    { kind: 'same', text: '' },
  ],
};

const SECRETS: DiffHunk = {
  oldLine: 3,
  newLine: 3,
  lines: [
    { kind: 'same', text: 'wifi_ssid: •••' },
    { kind: 'old', text: 'wifi_password: •••' },
    { kind: 'new', text: 'wifi_password: •••' },
  ],
};

function fileOf({ path, kind }: SourceChange): SourceDiff['files'][number] {
  const file = { path, kind, unshown: null, hunks: [], cut: false, masked: false };
  if (kind !== 'edited') return file;
  if (path.endsWith('secrets.yaml')) return { ...file, hunks: [SECRETS], masked: true };
  if (path.endsWith('.yaml')) return { ...file, hunks: [YAML] };
  return { ...file, unshown: 'binary' };
}

export function changesOf({ id, update }: DeviceView): SourceDiff {
  const { state } = update ?? {};
  const changes: SourceChange[] =
    state?.kind === 'held' ? state.changes : [{ path: id, kind: 'edited' }];
  return { files: changes.map(fileOf), more: 0 };
}
