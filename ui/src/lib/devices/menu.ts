/** Everything that can be done with a device. */
import Ban from '@lucide/svelte/icons/ban';
import Broom from '@lucide/svelte/icons/brush-cleaning';
import Check from '@lucide/svelte/icons/check';
import Copy from '@lucide/svelte/icons/copy';
import Download from '@lucide/svelte/icons/download';
import FileCheck from '@lucide/svelte/icons/file-check';
import FileCode from '@lucide/svelte/icons/file-code';
import Folder from '@lucide/svelte/icons/folder-open';
import HardDriveDownload from '@lucide/svelte/icons/hard-drive-download';
import Hammer from '@lucide/svelte/icons/hammer';
import HistoryIcon from '@lucide/svelte/icons/history';
import Logs from '@lucide/svelte/icons/scroll-text';
import MapPin from '@lucide/svelte/icons/map-pin';
import RotateCw from '@lucide/svelte/icons/rotate-cw';
import SquareCheck from '@lucide/svelte/icons/square-check';
import Tags from '@lucide/svelte/icons/tags';
import Zap from '@lucide/svelte/icons/zap';
import type { DeviceView } from '../backend';
import { texts } from '../i18n/index.svelte';
import type { App } from '../shared/app.svelte';
import type { Entry } from '../shared/Menu.svelte';
import { dayAndTime } from '../shared/time';
import { cleanBuild, isBuilt, perform, saveImage, validate } from '../updates/actions';
import { actionName, displayName } from '../updates/words';
import { isChoosable } from './presence';

const ICONS = {
  install: Download,
  retry: RotateCw,
  cleanAndRetry: Broom,
  resetAndRetry: Broom,
  rebuild: Hammer,
  flashAnyway: Zap,
  cancel: Ban,
  dismiss: Check,
};

function actions(app: App, device: DeviceView): Entry[] {
  return [device.primary, ...device.secondary].flatMap((action) =>
    action === 'none'
      ? []
      : {
          key: action,
          label: actionName(action),
          Icon: ICONS[action],
          run: () => void perform(app, device, action),
        },
  );
}

/** Whether its build files can be cleaned by themselves: ESPHome isn't at work on them, and no answer does it anyway. */
function isCleanable({ update, secondary }: DeviceView): boolean {
  const kind = update?.state.kind;
  if (kind === 'queued' || kind === 'building') return false;
  return !secondary.includes('cleanAndRetry') && !secondary.includes('resetAndRetry');
}

function ofFile(app: App, device: DeviceView): Entry[] {
  const { backend } = app;
  const address: Entry = {
    key: 'address',
    label: texts.drawer.setAddress,
    Icon: MapPin,
    run: () => app.dialogs.show({ kind: 'address', device: device.id }),
  };
  const labels: Entry = {
    key: 'labels',
    label: texts.drawer.setLabels,
    Icon: Tags,
    run: () => app.dialogs.show({ kind: 'labels', devices: [device.id] }),
  };
  const validation: Entry = {
    key: 'validate',
    label: texts.drawer.validate,
    Icon: FileCheck,
    run: () => void validate(app, device),
  };
  // Files of another computer aren't opened by this one's desktop.
  if (app.place) return [validation, address, labels];
  return [
    validation,
    {
      key: 'yaml',
      label: texts.drawer.openYaml,
      Icon: FileCode,
      run: () => void app.report(backend.ask({ cmd: 'open_yaml', device: device.id })),
    },
    {
      key: 'folder',
      label: texts.drawer.openFolder,
      Icon: Folder,
      run: () => void app.report(backend.ask({ cmd: 'open_folder', device: device.id })),
    },
    address,
    labels,
  ];
}

export function deviceMenu(app: App, device: DeviceView): Entry[] {
  const t = texts.drawer;
  const address = device.addresses[0] ?? device.userAddress;
  const { mac } = device;
  const entries = actions(app, device);
  if (device.previousBuild && !app.away) {
    const run = () =>
      void app.report(app.backend.ask({ cmd: 'install_previous', device: device.id }));
    const from = dayAndTime(device.previousBuild.builtAt, app.clock.now);
    entries.push({ key: 'previous', label: t.previousBuild(from), Icon: HistoryIcon, run });
  }
  if (device.update) {
    const run = () => app.openDevice(device.id, 'update');
    entries.push({ key: 'log', label: t.showLog, Icon: Logs, run });
  }
  if (isBuilt(device) && !app.place) {
    const run = () => void saveImage(app, device);
    entries.push({ key: 'save-image', label: t.saveImage, Icon: HardDriveDownload, run });
  }
  if (device.file !== null && isCleanable(device) && !app.away) {
    const run = () => void cleanBuild(app, device);
    entries.push({ key: 'clean', label: t.cleanBuild, Icon: Broom, run });
  }
  if (device.file !== null && !app.away) entries.push(...ofFile(app, device));
  if (address) {
    const run = () => void app.copy(address, texts.log.copied);
    entries.push({ key: 'copy-address', label: t.copyAddress, Icon: Copy, apart: true, run });
  }
  if (mac) {
    const run = () => void app.copy(mac, texts.log.copied);
    entries.push({ key: 'copy-mac', label: t.copyMac, Icon: Copy, apart: !address, run });
  }
  if (isChoosable(device)) {
    entries.push({
      key: 'select',
      label: texts.selection.one(displayName(device)),
      Icon: SquareCheck,
      apart: true,
      run: () => app.selection.toggle(device.id),
    });
  }
  return entries;
}
