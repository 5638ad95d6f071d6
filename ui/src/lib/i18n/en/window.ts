import { count } from '../plural';

export const window = {
  app: {
    name: 'Wakeflash',
    starting: 'Starting…',
    startFailed: 'Wakeflash could not start',
    startFailedMeans:
      'Nothing was changed. Updates that wait go on when Wakeflash can start again.',
    openLogs: 'Open the log folder',
    damage: {
      backup: (when: string) => `The last good backup is from ${when}. What happened since isn’t in it.`,
      holds: (devices: number, updates: number) =>
        `It remembers ${count(devices, 'device', 'devices')}, and ${count(updates, 'update is', 'updates are')} under way in it.`,
      lost: (n: number) => `${count(n, 'device', 'devices')} that an update was asked for since`,
      restore: 'Restore this backup',
      restoreMeans: 'Wakeflash starts again and is paused: cancel what has been installed since, then resume.',
      empty: 'Start with an empty queue',
      emptyTitle: 'Start with an empty queue?',
      emptyBody:
        'The queue, the history, what was learned about the devices and the settings begin anew. The damaged database is kept; your YAML files aren’t touched.',
      emptyYes: 'Start empty',
      no: 'Back',
      starting: 'Wakeflash starts again…',
    },
    noBackend: 'This page is the window of Wakeflash. Start the application to see it.',
    lost: 'The window lost touch with Wakeflash and is trying again.',
    dismiss: 'Dismiss',
    dismissAll: 'Dismiss all',
    messages: 'Messages',
    details: 'Details',
    copyRefused: 'The desktop didn’t let Wakeflash use the clipboard.',
    close: 'Close',
  },
  /** A number stays with its unit. */
  time: {
    justNow: 'just now',
    minutesAgo: (n: number) => `${n}\u00a0min ago`,
    hoursAgo: (n: number) => `${n}\u00a0h ago`,
    daysAgo: (n: number) => count(n, 'day ago', 'days ago'),
    moments: 'a moment',
    seconds: (n: number) => `${n}\u00a0s`,
    minutes: (n: number) => `${n}\u00a0min`,
    hours: (n: number) => `${n}\u00a0h`,
    days: (n: number) => count(n, 'day', 'days'),
    inAbout: (span: string) => `in ~${span}`,
    anyMoment: 'any moment',
  },
  nav: {
    label: 'Pages',
    devices: 'Devices',
    waiting: 'Waiting',
    settings: 'Settings',
    back: 'Back to devices',
    menu: 'Menu',
    pause: 'Pause',
    resume: 'Resume',
    pauseTitle: 'Start no new builds and transfers; running ones go on',
    resumeTitle: 'Start builds and transfers again',
    commands: 'Commands…',
    shortcuts: 'Keyboard shortcuts',
    about: 'About Wakeflash',
    quit: 'Quit',
    openFolder: 'Open the configuration folder',
    copyReport: 'Copy a diagnostic report',
    reportCopied: 'The report is in the clipboard. It has no passwords and no keys.',
    theme: (name: string) => `Theme: ${name}`,
  },
  palette: {
    title: 'Commands',
    placeholder: 'Type a command or a device',
    empty: 'Nothing matches.',
    commands: 'Commands',
    devices: 'Devices',
  },
  keys: {
    title: 'Keyboard shortcuts',
    /** What is printed on the keys of this language's keyboards. */
    names: {
      Ctrl: 'Ctrl',
      Home: 'Home',
      End: 'End',
      PgUp: 'PgUp',
      PgDn: 'PgDn',
      Enter: 'Enter',
      Space: 'Space',
      Shift: 'Shift',
    },
    everywhere: 'Everywhere',
    inList: 'In the list',
    palette: 'Commands and devices',
    search: 'Search',
    help: 'This help',
    settings: 'Settings',
    quit: 'Quit',
    zoom: 'Larger; smaller with −, back with 0',
    escape: 'Close, clear, go back',
    move: 'Previous, next device',
    page: 'A page up, down',
    ends: 'First, last device',
    open: 'Open the details',
    select: 'Select the device',
    range: 'Select from here',
    all: 'Select all that are shown',
    menu: 'All that can be done with the device',
  },
  confirm: {
    cancelFlash: {
      title: 'Cancel the running transfer?',
      body: (name: string) =>
        `The firmware is being sent to ${name} right now. Cancelling cuts that short and ends this update: the device keeps the firmware that it has, unless all of the new one has just arrived.`,
      yes: 'Cancel the transfer',
      no: 'Let it go on',
    },
    cancelConfirm: {
      title: 'Cancel this update?',
      body: (name: string) =>
        `The whole image may already have reached ${name}. Cancelling doesn’t take it back: the device may run the new firmware.`,
      yes: 'Cancel the update',
      no: 'Keep waiting',
    },
    cancelWaiting: {
      title: 'Cancel this update?',
      body: (name: string) =>
        `Nothing is being sent to ${name}. When you cancel, the device keeps the firmware that it has.`,
      yes: 'Cancel the update',
      no: 'Keep it',
    },
    cancelOver: (name: string) => `Nothing was cancelled: the update of ${name} is over.`,
    flashOver: (name: string) => `Nothing was flashed: the update of ${name} is no longer held.`,
    cancelMany: {
      title: (n: number) => `Cancel ${count(n, 'update', 'updates')}?`,
      cut: (n: number) =>
        n === 1
          ? '1 transfer is running right now and will be cut short: its device keeps the firmware that it has, unless all of the new one has just arrived.'
          : `${n} transfers are running right now and will be cut short: their devices keep the firmware that they have, unless all of the new one has just arrived.`,
      sent: (n: number) =>
        `${n === 1 ? '1 device' : `${n} devices`} may already have got the whole image. Cancelling doesn’t take it back: the new firmware may run there.`,
      all: 'The devices keep the firmware that they have.',
      rest: (n: number) =>
        n === 1
          ? 'The other device keeps the firmware that it has.'
          : `The other ${n} devices keep the firmware that they have.`,
      over: 'Nothing was cancelled: these updates are over.',
      yes: 'Cancel the updates',
      no: 'Keep them',
    },
    flashAnyway: {
      title: 'Flash the older build?',
      body: (name: string, what: string) =>
        `${what} since this firmware for ${name} was built. It is flashed as it was built, without the changes.`,
      yes: 'Flash anyway',
      no: 'Not now',
    },
    /** What quitting means for what is under way. */
    leave: {
      flashing: (n: number) =>
        `${count(n, 'transfer is', 'transfers are')} under way and will be cut short.`,
      confirming: (n: number) =>
        n === 1
          ? '1 device has yet to confirm its new firmware.'
          : `${n} devices have yet to confirm their new firmware.`,
      building: (n: number) => `${count(n, 'build is', 'builds are')} running and will begin anew.`,
      waiting: (n: number) => `${count(n, 'update waits', 'updates wait')}.`,
      demo: 'This is a demo: when it ends, its device, its updates and its files are gone.',
      kept: (n: number): string =>
        n === 1
          ? 'The update stays in the queue. Nothing is flashed until Wakeflash is started again.'
          : 'All updates stay in the queue. Nothing is flashed until Wakeflash is started again.',
    },
    quit: {
      title: 'Quit while a device is being flashed?',
      yes: 'Quit',
      no: 'Stay',
    },
    close: {
      title: 'Quit Wakeflash?',
      idle: 'No update is waiting, so nothing is lost. Nothing is flashed until Wakeflash is started again.',
      background:
        'Wakeflash can also keep working without a window; starting it once more opens the window.',
      yes: 'Quit',
      other: 'Keep working without a window',
      no: 'Stay',
    },
  },
  banner: {
    esphomeMeans: 'Nothing can be built now. Updates that are built keep waiting for their device.',
    installEsphome: 'Install ESPHome',
    choosePath: 'Choose its path',
    lookAgain: 'Look again',
    esphomeInstalling: 'Installing ESPHome',
    configDirUnreadable: (path: string) => `${path} can’t be read`,
    configDirMeans: 'Updates that wait keep waiting.',
    chooseFolder: 'Choose another folder',
    store: 'Changes can’t be saved',
    storeMeans: 'Nothing new is started until they can.',
    noNetwork: 'No network',
    network: 'The network can’t be watched',
    networkMeans: 'Devices that wake may be noticed late.',
    otherTool: 'Another program is in the way',
    paused: 'Paused',
    pausedMeans:
      'No new build and no new transfer starts. A device that wakes meanwhile is missed.',
  },
  firstRun: {
    title: 'Welcome to Wakeflash',
    intro:
      'Click Install on a sleeping ESPHome device. Wakeflash builds the firmware now and flashes it the moment the device wakes.',
    where: 'Where are your ESPHome YAML files?',
    found: 'Found on this computer',
    looking: 'Looking in the usual places…',
    noneFound: 'None of the usual places has YAML files. Type or choose your folder.',
    path: 'Folder',
    browse: 'Choose…',
    go: 'Show my devices',
    esphome: 'ESPHome builds the firmware',
    esphomeLater: 'You can also do this later: devices are listed without it.',
  },
  announce: {
    change: (name: string, state: string) => `${name}: ${state}`,
    many: (n: number) => `${n} devices changed`,
    shown: (n: number) => `${count(n, 'device', 'devices')} shown`,
  },
};
