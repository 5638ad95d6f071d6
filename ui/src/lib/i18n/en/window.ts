import { count } from '../plural';

export const window = {
  app: {
    name: 'Wakeflash',
    starting: 'Starting…',
    startFailed: 'Wakeflash could not start',
    startFailedMeans: 'Nothing was changed. Waiting updates go on once it starts again.',
    openLogs: 'Open the log folder',
    damage: {
      backup: (when: string) =>
        `The last good backup is from ${when}. What happened since isn’t in it.`,
      holds: (devices: number, updates: number) =>
        `It remembers ${count(devices, 'device', 'devices')}, and ${count(updates, 'update is', 'updates are')} under way in it.`,
      lost: (n: number) => `${count(n, 'device', 'devices')} that an update was asked for since`,
      restore: 'Restore this backup',
      restoreMeans:
        'Wakeflash starts again and is paused: cancel what has been installed since, then resume.',
      empty: 'Start with an empty queue',
      emptyTitle: 'Start with an empty queue?',
      emptyBody:
        'The queue, the history, what was learned about the devices and the settings begin anew. The damaged database is kept; your YAML files aren’t touched.',
      emptyYes: 'Start empty',
      no: 'Back',
      starting: 'Wakeflash starts again…',
    },
    noBackend: 'This page is the window of Wakeflash. Start the application to see it.',
    lost: 'The window lost touch with Wakeflash and tries again.',
    cleaning: (name: string) => `Cleaning the build files of ${name}…`,
    cleaned: (name: string) => `The build files of ${name} are cleaned.`,
    dismiss: 'Dismiss',
    dismissAll: 'Dismiss all',
    messages: 'Messages',
    undo: 'Undo',
    cancelled: (name: string) => `Cancelled the update of ${name}`,
    cancelledMany: (n: number) => `Cancelled ${count(n, 'update', 'updates')}`,
    notDone: (why: string) => `Not done: ${why}`,
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
    home: 'Home',
    devices: 'Devices',
    settings: 'Settings',
    back: 'Back',
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
    acts: 'Actions',
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
    step: 'Details of the next, previous device',
    undo: 'Take back a Cancel, for 10 seconds',
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
  /** A line, and what follows from the answer. */
  confirm: {
    cancelFlash: {
      title: 'Cancel the running transfer?',
      body: (name: string) => `${name} is being flashed right now.`,
      points: [
        'The transfer is cut short, and this update ends.',
        'The device keeps its firmware, unless all of the new one has just arrived.',
      ],
      yes: 'Cancel the transfer',
      no: 'Keep flashing',
    },
    cancelConfirm: {
      title: 'Cancel this update?',
      body: (name: string) => `All of the firmware may have reached ${name} already.`,
      points: [
        'Cancelling doesn’t take it back: the device may run it.',
        'Wakeflash no longer checks what it runs.',
      ],
      yes: 'Cancel the update',
      no: 'Keep waiting',
    },
    cancelWaiting: {
      title: 'Cancel this update?',
      body: (name: string) => `Nothing is being sent to ${name}.`,
      points: ['The device keeps its firmware.'],
      yes: 'Cancel the update',
      no: 'Keep it',
    },
    cancelOver: (name: string) => `Nothing was cancelled: the update of ${name} is over.`,
    flashOver: (name: string) => `Nothing was flashed: the update of ${name} is no longer held.`,
    cancelMany: {
      title: (n: number) => `Cancel ${count(n, 'update', 'updates')}?`,
      cut: (n: number) =>
        n === 1
          ? '1 running transfer is cut short: its device keeps its firmware, unless all of the new one has just arrived.'
          : `${n} running transfers are cut short: their devices keep their firmware, unless all of the new one has just arrived.`,
      sent: (n: number) =>
        n === 1
          ? '1 device may already run the new firmware: cancelling doesn’t take it back.'
          : `${n} devices may already run the new firmware: cancelling doesn’t take it back.`,
      all: 'The devices keep their firmware.',
      rest: (n: number) =>
        n === 1
          ? 'The other device keeps its firmware.'
          : `The other ${n} devices keep their firmware.`,
      over: 'Nothing was cancelled: these updates are over.',
      yes: 'Cancel the updates',
      no: 'Keep them',
    },
    flashAnyway: {
      title: 'Flash the older build?',
      body: (name: string, what: string) => `${what} since the firmware for ${name} was built.`,
      points: ['It is flashed without the changes.'],
      yes: 'Flash as built',
      no: 'Not now',
    },
    /** What quitting means for what is under way. */
    leave: {
      flashing: (n: number) =>
        n === 1 ? '1 running transfer is cut short.' : `${n} running transfers are cut short.`,
      confirming: (n: number) =>
        n === 1
          ? '1 device has yet to report its new firmware.'
          : `${n} devices have yet to report their new firmware.`,
      building: (n: number) =>
        n === 1 ? '1 build begins anew next time.' : `${n} builds begin anew next time.`,
      waiting: (n: number) => `${count(n, 'update keeps', 'updates keep')} waiting.`,
      attention: (n: number) => (n === 1 ? '1 still needs you.' : `${n} still need you.`),
      demo: 'This is a demo: its device, its updates and its files are gone then.',
      kept: 'Nothing is flashed until Wakeflash is started again. The queue is kept.',
    },
    quit: {
      title: 'Quit while a device is being flashed?',
      yes: 'Quit',
      no: 'Keep running',
    },
    close: {
      title: 'Quit Wakeflash?',
      idle: 'No update is waiting. Nothing is flashed until Wakeflash is started again.',
      background: 'It can also keep running without a window. Starting it once more shows it.',
      yes: 'Quit',
      other: 'Keep running without a window',
      no: 'Keep running',
    },
  },
  banner: {
    esphomeMeans: 'Nothing can be built. Updates that are built keep waiting.',
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
    networkMeans: 'Devices that wake may be noticed late.',
    paused: 'Paused',
    pausedMeans: 'Nothing new is built or flashed. Devices that wake meanwhile are missed.',
    problems: 'Problems',
    several: (n: number) => `${n} problems`,
    showAll: 'Show',
    showLess: 'Hide',
  },
  firstRun: {
    title: 'Welcome to Wakeflash',
    intro:
      'Click Install on a sleeping ESPHome device. Wakeflash builds the firmware now and flashes it the moment the device wakes.',
    where: 'Where are your ESPHome YAML files?',
    found: 'Found on this computer',
    looking: 'Looking in the usual places…',
    noneFound: 'No YAML files in the usual places. Type or choose your folder.',
    path: 'Folder',
    browse: 'Choose…',
    go: 'Show my devices',
    esphome: 'ESPHome builds the firmware',
    esphomeLater: 'You can also do this later. Devices are listed without it.',
  },
  announce: {
    change: (name: string, state: string) => `${name}: ${state}`,
    many: (n: number) => `${n} devices changed`,
    shown: (n: number) => `${count(n, 'device', 'devices')} shown`,
  },
};
