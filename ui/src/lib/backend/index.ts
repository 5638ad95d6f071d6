/** What the window needs from the application behind it. Components know this interface only. */
import type {
  ActivityCursor,
  ActivityPage,
  AppInfo,
  BuildLog,
  ConfigDirCandidate,
  DeviceId,
  Envelope,
  InstallPlan,
  NotifyKinds as LooseNotifyKinds,
  OpenDevice,
  Problem,
  Refusal,
  Settings as LooseSettings,
  Snapshot as LooseSnapshot,
  StoreChoice,
  UpdateDetails,
  UpdateId,
  UpdateRecord,
  WakeRecord,
} from './generated/bindings';

export type {
  Action,
  ActivityCursor,
  ActivityPage,
  ActivityRecord,
  AppInfo,
  AttemptReport,
  BuildAgainView,
  BuildLog,
  ChangedSources,
  ConfigDirCandidate,
  ConfigDirStatus,
  Counts,
  DeviceId,
  DeviceView,
  Envelope,
  EsphomeStatus,
  Event,
  InstallPlan,
  Language,
  OpenDevice,
  Presence,
  Problem,
  Progress,
  Refusal,
  SourceChange,
  StateKind,
  Status,
  StoreDamage,
  Theme,
  TimelineEntry,
  Timestamp,
  UpdateDetails,
  UpdateId,
  UpdateRecord,
  UpdateStateView,
  UpdateView,
  WakeRecord,
  WakeView,
} from './generated/bindings';

/** The settings, complete. The generated type lets every field be missing. */
export type Settings = Required<LooseSettings> & { notify: NotifyKinds };
export type NotifyKinds = Required<LooseNotifyKinds>;

/** Everything there is to see, at one revision. */
export type Snapshot = Omit<LooseSnapshot, 'settings'> & { settings: LooseSettings };

/** What a command answers: its result, or why it didn't do what was asked. */
export type Answer<T> = { status: 'ok'; data: T } | { status: 'error'; error: Problem };

/** Ends a subscription. */
export type Unlisten = () => void;

export interface Backend {
  /** Every change from now on, in order. Resolves when the subscription stands. */
  listen(onEvent: (envelope: Envelope) => void): Promise<Unlisten>;
  /** The user wants to close the window where it couldn't be opened again with a click. */
  onCloseRequested(onRequest: () => void): Promise<Unlisten>;
  /** The user chose Quit in the tray's menu while this many devices are being flashed. */
  onQuitRequested(onRequest: (flashing: number) => void): Promise<Unlisten>;
  /** A notification of a device, or its line in the tray's menu, was clicked. */
  onOpenDevice(onOpen: (request: OpenDevice) => void): Promise<Unlisten>;

  snapshot(): Promise<Answer<Snapshot>>;
  details(device: DeviceId): Promise<Answer<UpdateDetails>>;
  appInfo(): Promise<Answer<AppInfo>>;

  install(device: DeviceId): Promise<Answer<UpdateId>>;
  cancel(device: DeviceId): Promise<Answer<null>>;
  /** Takes back cancels of a moment ago: the updates go on where they were. */
  undoCancel(devices: DeviceId[]): Promise<Answer<Refusal[]>>;
  retry(device: DeviceId): Promise<Answer<UpdateId>>;
  /** With the OTA password that is on the device now: it is tried when the configured one is refused. */
  retryWithPassword(device: DeviceId, password: string): Promise<Answer<UpdateId>>;
  rebuild(device: DeviceId): Promise<Answer<null>>;
  flashAnyway(device: DeviceId): Promise<Answer<null>>;
  /** Puts a failed update aside. */
  dismiss(device: DeviceId): Promise<Answer<null>>;

  installMany(devices: DeviceId[]): Promise<Answer<Refusal[]>>;
  cancelMany(devices: DeviceId[]): Promise<Answer<Refusal[]>>;
  /** What installing on these would do, or on all that there is an update for; changes nothing. */
  plan(devices: DeviceId[] | null): Promise<Answer<InstallPlan>>;
  setPaused(paused: boolean): Promise<Answer<null>>;
  /** An address to try beside the device's own; `null` removes it. */
  setAddress(device: DeviceId, address: string | null): Promise<Answer<null>>;

  /** The board that claims the device's name is the device. */
  acceptBoard(device: DeviceId): Promise<Answer<null>>;
  /** Of several configurations which name their device so, this one is the device's. */
  chooseConfig(device: DeviceId): Promise<Answer<null>>;

  /** Newest first. */
  history(device: DeviceId): Promise<Answer<UpdateRecord[]>>;
  /** What has ended, the last ended first; `before`: where a page begins. */
  activity(before: ActivityCursor | null, limit: number): Promise<Answer<ActivityPage>>;
  /** A native dialog; `null`: the user changed their mind. */
  saveCsv(text: string): Promise<Answer<string | null>>;
  /** Newest last. */
  wakes(device: DeviceId): Promise<Answer<WakeRecord[]>>;
  buildLog(update: UpdateId): Promise<Answer<BuildLog>>;
  /** A native dialog; `null`: the user changed their mind. */
  saveLog(update: UpdateId): Promise<Answer<string | null>>;

  /** Changes those that are named; answers what all of them are then. */
  changeSettings(change: Partial<Settings>): Promise<Answer<LooseSettings>>;
  configDirCandidates(): Promise<Answer<ConfigDirCandidate[]>>;
  findEsphome(): Promise<Answer<null>>;
  installEsphome(): Promise<Answer<null>>;

  /** A native dialog; `null`: the user changed their mind. */
  chooseDirectory(title: string): Promise<Answer<string | null>>;
  /** Opens a log or configuration file, or their directory, with the desktop's program for it. */
  openPath(path: string): Promise<Answer<null>>;
  openYaml(device: DeviceId): Promise<Answer<null>>;
  /** The folder of a device's file; `null`: the config directory. */
  openFolder(device: DeviceId | null): Promise<Answer<null>>;
  /** For diagnosis, without secrets. */
  report(): Promise<Answer<string>>;
  /** Closes the window; the application goes on without it. */
  closeWindow(): Promise<Answer<null>>;
  /** Ends the application. */
  quit(): Promise<Answer<null>>;
  /** The user doesn't want to quit after all. */
  stay(): Promise<Answer<null>>;
  /** Mends a damaged database and starts the application anew. */
  mendStore(choice: StoreChoice): Promise<Answer<null>>;
}

/** Fills in what a settings object of an older version doesn't say. */
export function completeSettings(settings: LooseSettings): Settings {
  return {
    configDir: settings.configDir ?? null,
    esphomePath: settings.esphomePath ?? null,
    ownEsphome: settings.ownEsphome ?? false,
    changedSources: settings.changedSources ?? 'hold',
    maxBuilds: settings.maxBuilds ?? 1,
    maxFlashes: settings.maxFlashes ?? 4,
    notify: { installed: true, failed: true, held: true, overdue: true, ...settings.notify },
    theme: settings.theme ?? 'system',
    language: settings.language ?? 'system',
    startAtLogin: settings.startAtLogin ?? false,
    paused: settings.paused ?? false,
  };
}
