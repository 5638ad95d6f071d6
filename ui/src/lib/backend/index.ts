/** What the window needs from the application behind it. Components know this interface only. */
import type {
  EngineAnswer,
  Envelope,
  NotifyKinds as LooseNotifyKinds,
  OpenDevice,
  PageRequest,
  Problem,
  Settings as LooseSettings,
  Snapshot as LooseSnapshot,
  ShellAnswer,
  WindowAnswer,
} from './generated/bindings';

export type {
  Action,
  ActivityCursor,
  ActivityPage,
  ActivityRecord,
  AppInfo,
  AttemptReport,
  Away,
  BuildAgainView,
  BuildLog,
  ChangedSources,
  ConfigDirCandidate,
  ConfigDirStatus,
  Counts,
  DeviceId,
  DeviceView,
  Hunk as DiffHunk,
  Envelope,
  EsphomeStatus,
  Event,
  DeviceLog,
  DeviceLogState,
  InstallPlan,
  LogRecording,
  Language,
  OpenDevice,
  Place,
  Presence,
  Problem,
  Progress,
  Refusal,
  SourceChange,
  SourceDiff,
  StateKind,
  Status,
  StoreChoice,
  StoreDamage,
  Theme,
  TimelineEntry,
  Timestamp,
  Trial,
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

/** What only other programs and the window's own process ask for. */
type OfOthers =
  | 'hello'
  | 'list'
  | 'set_settings'
  | 'set_watching'
  | 'built_image'
  | 'config_dir'
  | 'log_text'
  | 'closing';

export type Command = Exclude<PageRequest['cmd'], OfOthers>;

/** A command with its arguments. */
export type RequestOf<C extends Command> = Extract<PageRequest, { cmd: C }>;
export type Request = RequestOf<Command>;

type Answers = EngineAnswer | ShellAnswer | WindowAnswer;

/** What a command answers when it is done. */
export type AnswerOf<C extends Command> = Extract<Answers, Record<C, unknown>>[C];

/** What a command answers: its result, or why it didn't do what was asked. */
export type Answer<T> = { status: 'ok'; data: T } | { status: 'error'; error: Problem };

/** Ends a subscription. */
export type Unlisten = () => void;

export interface Backend {
  /** Asks for something; it never rejects. */
  ask<R extends Request>(request: R): Promise<Answer<AnswerOf<R['cmd']>>>;

  /** Every change from now on, in order. Resolves when the subscription stands. */
  listen(onEvent: (envelope: Envelope) => void): Promise<Unlisten>;
  /** The user wants to close the window where it couldn't be opened again with a click. */
  onCloseRequested(onRequest: () => void): Promise<Unlisten>;
  /** The user chose Quit in the tray's menu while this many devices are being flashed. */
  onQuitRequested(onRequest: (flashing: number) => void): Promise<Unlisten>;
  /** A notification of a device, or its line in the tray's menu, was clicked. */
  onOpenDevice(onOpen: (request: OpenDevice) => void): Promise<Unlisten>;
}

/** Fills in what a settings object of an older version doesn't say. */
export function completeSettings(settings: LooseSettings): Settings {
  return {
    configDir: settings.configDir ?? null,
    esphomePath: settings.esphomePath ?? null,
    ownEsphome: settings.ownEsphome ?? false,
    compilerCache: settings.compilerCache ?? null,
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
