import { count } from '../plural';

export const settings = {
  settings: {
    title: 'Settings',
    configDir: 'Configuration folder',
    configDirHelp: 'The folder with your ESPHome YAML files.',
    apply: 'Use this folder',
    candidateDevices: (n: number) => count(n, 'device', 'devices'),
    esphome: 'ESPHome',
    esphomeHelp:
      'A path comes before the one on PATH, and that before the one that Wakeflash installed, unless that is switched on here.',
    esphomeOwn: 'Use Wakeflash’s own ESPHome, whatever else there is',
    esphomeOwnHelp:
      'Installing or upgrading it switches this on. Switch it off to go back to the path below or, when that is empty, to the one on PATH.',
    esphomeStill: (version: string) => `ESPHome ${version} goes on building.`,
    esphomePath: 'Path of the esphome program',
    esphomePathHint: 'found by itself',
    esphomeReady: (version: string) => `ESPHome ${version}`,
    esphomeSearching: 'Looking for ESPHome…',
    esphomeApply: 'Use this path',
    esphomeUpgrade: 'Install or upgrade Wakeflash’s own ESPHome',
    changed: 'When files change while an update waits',
    changedHelp: 'YAML files, what they include, and secrets count.',
    changedSources: {
      hold: {
        name: 'Hold and ask',
        help: 'The update stays, and nothing is flashed until you decide.',
      },
      rebuild: { name: 'Build again', help: 'The device gets what the files say now.' },
      flash: {
        name: 'Flash what was built',
        help: 'The device gets the firmware as it was built.',
      },
    },
    notifications: 'Notifications',
    notificationsHelp: 'On the desktop, one per outcome, never for each retry.',
    notify: {
      installed: { name: 'Installed', help: 'An update has arrived and runs.' },
      failed: { name: 'Failed or rolled back', help: 'An update ended without success.' },
      held: { name: 'Held', help: 'Files changed while an update waited.' },
      overdue: { name: 'Overdue', help: 'A waiting device should have woken; once a day.' },
    },
    notificationsAbsent: 'This desktop shows no notifications.',
    notificationsPlain: 'This desktop shows notifications without buttons.',
    work: 'At the same time',
    maxBuilds: 'Builds',
    maxBuildsHelp: 'More than one needs memory and a fast machine.',
    maxFlashes: 'Transfers',
    maxFlashesHelp: 'How many devices are flashed at once when they wake together.',
    general: 'General',
    startAtLogin: 'Start at login',
    startAtLoginHelp: 'In the tray, without a window.',
    startAtLoginBare:
      'Without a window. This desktop has no tray: starting it once more shows the window.',
    appearance: 'Appearance',
    theme: 'Theme',
    themes: { system: 'System', light: 'Light', dark: 'Dark' },
    language: 'Language',
    /** Languages are named in themselves, so that everybody finds theirs. */
    languages: { system: 'System', en: 'English', de: 'Deutsch' },
    diagnostics: 'Diagnostics',
    diagnosticsHelp: 'For a question or a bug report. The report has no passwords and no keys.',
    copyReport: 'Copy a report',
    about: 'About',
    version: (version: string) => `Wakeflash ${version}`,
    licence: (name: string) => `${name} licence`,
    aboutText:
      'Builds ESPHome firmware, flashes sleeping devices the moment they wake, and proves that the new firmware runs.',
  },
};
