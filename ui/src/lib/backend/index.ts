/** What the window needs from the application behind it. Components know this interface only. */
import type {
  AppInfo,
  ConfigDirCandidate,
  DeviceId,
  Envelope,
  Problem,
  Settings as LooseSettings,
  Snapshot as LooseSnapshot,
  UpdateDetails,
  UpdateId,
} from './generated/bindings';

export type {
  Action,
  AppInfo,
  AttemptReport,
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
  Presence,
  Problem,
  Progress,
  SourceChange,
  StateKind,
  Status,
  TimelineEntry,
  Timestamp,
  UpdateDetails,
  UpdateId,
  UpdateStateView,
  UpdateView,
} from './generated/bindings';

/** The settings as they are sent: complete. The generated type lets every field be missing. */
export type Settings = Required<LooseSettings>;

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

  snapshot(): Promise<Answer<Snapshot>>;
  details(device: DeviceId): Promise<Answer<UpdateDetails>>;
  appInfo(): Promise<Answer<AppInfo>>;

  install(device: DeviceId): Promise<Answer<UpdateId>>;
  cancel(device: DeviceId): Promise<Answer<null>>;
  retry(device: DeviceId): Promise<Answer<UpdateId>>;
  rebuild(device: DeviceId): Promise<Answer<null>>;
  flashAnyway(device: DeviceId): Promise<Answer<null>>;

  setSettings(settings: Settings): Promise<Answer<null>>;
  configDirCandidates(): Promise<Answer<ConfigDirCandidate[]>>;
  findEsphome(): Promise<Answer<null>>;
  installEsphome(): Promise<Answer<null>>;

  /** A native dialog; `null`: the user changed their mind. */
  chooseDirectory(title: string): Promise<Answer<string | null>>;
  /** Opens a log or configuration file, or their directory, with the desktop's program for it. */
  openPath(path: string): Promise<Answer<null>>;
  /** Closes the window; the application goes on without it. */
  closeWindow(): Promise<Answer<null>>;
  /** Ends the application. */
  quit(): Promise<Answer<null>>;
}

/** Fills in what a settings object of an older version doesn't say. */
export function completeSettings(settings: LooseSettings): Settings {
  return {
    configDir: settings.configDir ?? null,
    esphomePath: settings.esphomePath ?? null,
    changedSources: settings.changedSources ?? 'hold',
    maxBuilds: settings.maxBuilds ?? 1,
    maxFlashes: settings.maxFlashes ?? 4,
    notifications: settings.notifications ?? true,
  };
}
