//! What a life holds: devices, what the user does, what goes wrong. A life can be made smaller by taking any of it out.

mod draw;

use wakeflash_core::settings::ChangedSources;

use crate::story::clock;

/// Milliseconds since a life began, by a clock that nobody sets.
pub(crate) type Ms = u64;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;

/// A life.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How long things happen; after that nothing goes wrong any more, and all must come to its end.
    pub(crate) length: Ms,
    pub(crate) host: HostPlan,
    pub(crate) devices: Vec<DevicePlan>,
    pub(crate) happenings: Vec<Happening>,
    /// The application is killed at this boundary between decision, commit and effect, counted from the start.
    pub(crate) crash_at: Option<u64>,
}

/// The computer and its user.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) policy: ChangedSources,
    pub(crate) builds: u8,
    pub(crate) flashes: u8,
    /// How long a commit takes.
    pub(crate) commit: (Ms, Ms),
    /// How long a build takes.
    pub(crate) build: (Ms, Ms),
    /// ESPHome before 2026.8 marks a firmware as good only after a minute.
    pub(crate) old_esphome: bool,
    /// The packets of devices that are lost, in a thousand.
    pub(crate) loss: u64,
    /// How long the user takes to decide about a held or failed update.
    pub(crate) decides_after: (Ms, Ms),
}

/// A device.
#[derive(Clone, Debug)]
pub(crate) struct DevicePlan {
    /// Its place in the life, which it keeps when others are taken out.
    pub(crate) key: u32,
    /// It has no configuration here.
    pub(crate) stranger: bool,
    pub(crate) rhythm: Option<Rhythm>,
    pub(crate) first_wake: Ms,
    /// How often it takes its leave when it goes to sleep, in a thousand.
    pub(crate) goodbye: u64,
    pub(crate) voice: Voice,
    /// The firmware that runs first announces its hash.
    pub(crate) hash_at_first: bool,
    /// The configuration says how long it sleeps.
    pub(crate) says_plan: bool,
    pub(crate) literal_address: bool,
    /// Something puts its own link-layer address in the place of the device's.
    pub(crate) repeater: bool,
    pub(crate) own_key: bool,
    pub(crate) password: bool,
    pub(crate) rtt: Ms,
    /// How long its API takes to say who it is, if it has one.
    pub(crate) api: Option<Ms>,
    /// The image, and how fast it goes.
    pub(crate) size: u64,
    pub(crate) bytes_per_ms: u64,
}

/// How a device sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) period: Ms,
    pub(crate) window: Ms,
    pub(crate) jitter: Ms,
    /// It wakes by a clock, and not a time after it went to sleep.
    pub(crate) by_clock: bool,
}

/// What a device says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A complete record.
    Full,
    /// Its name and address.
    NameOnly,
    /// Nothing: no mDNS.
    None,
}

/// Something that happens at some time.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) at: Ms,
    pub(crate) what: What,
}

/// What happens. A device is named by its key.
#[derive(Clone, Debug)]
pub(crate) enum What {
    User(UserAct),
    File(FileAct),
    Fault(Fault),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum UserAct {
    Install(u32),
    Cancel(u32),
    /// In the middle of the next transfer, after so many of a thousand parts.
    CancelInTransfer(u32, u64),
    /// Takes back that it was cancelled.
    Undo(u32),
    Retry(u32),
    Rebuild(u32),
    FlashAnyway(u32),
    Previous(u32),
    Dismiss(u32),
    InstallAll,
    CancelAll,
    SetAddress(u32),
    Pause(Ms),
    Policy(ChangedSources),
    Limits(u8, u8),
    /// Another config directory, and back.
    OtherDirectory(Ms),
    List,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum FileAct {
    Edit(u32),
    /// And back again after this time.
    EditForAWhile(u32, Ms),
    EditShared,
    EditSecrets,
    /// The configuration hash stays the same.
    EditCode(u32),
    EditPassword(u32),
    Break(u32, Ms),
    Remove(u32, Ms),
    Rename(u32),
}

/// What goes wrong, sorted by who is struck.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// At the `nth` boundary of this kind from now on.
    Crash {
        boundary: Boundary,
        nth: u32,
        down: Ms,
    },
    /// For so long.
    Disk(DiskFault, Ms),
    Host(HostFault),
    /// For so long.
    Network(NetworkFault, Ms),
    /// A third host speaks of a device.
    Forged(Forgery, u32),
    /// Many changing announcements in a second.
    Flood(Ms),
    Device(DeviceFault, u32),
    Build(BuildFault),
    /// For so long.
    Directory(DirectoryFault, Ms),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFault {
    Fails,
    /// Commits are reported as failed, and may be on the disk.
    Tears,
    Hangs,
    /// Each commit takes so much longer.
    Slow(Ms),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum HostFault {
    Suspend(Ms),
    /// The clock is set forward or back.
    ClockJump(i64),
    /// The same, right after the next transfer that breaks off; that to this device does.
    ClockJumpAtFailure(i64, u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NetworkFault {
    Down,
    Loses,
    Delays,
    Repeats,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgery {
    /// What the device said long ago.
    OldRecord,
    /// That it runs what it is to get.
    WantedRecord,
    Goodbye,
    /// That it is another board.
    Board,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceFault {
    NewAddress,
    /// Another host says for so long that it has its name and its MAC address.
    Posed(Ms),
    /// Somebody else gets its address while it sleeps.
    AddressTaken,
    PowerLoss,
    /// In the middle of the next transfer, after so many of a thousand parts.
    PowerLossInTransfer(u64),
    Cut {
        at: u64,
        times: u32,
    },
    CutAlways {
        at: u64,
        lasts: Ms,
    },
    AcknowledgementLost,
    RefusesImage(u32),
    RefusesForGood,
    OtherClient(Ms),
    /// The new firmware ends before it was marked as good.
    Brownout,
    SafeMode,
    OtherFirmware,
    WantedFirmware,
    NewBoard,
    OtherPassword,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum BuildFault {
    Breaks(u32, Ms),
    NoInternet(Ms),
    Hangs(u32, Ms),
    NoEsphome(Ms),
    EditsSources(u32, Ms),
    ImageLost(u32),
    ImagesUnreadable(Ms),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum DirectoryFault {
    Gone,
    Empty,
}

/// Where between a decision and its effects the application is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Boundary {
    /// Decided, and nothing was carried out.
    Decided,
    /// While the commit is written: it is on the disk, or it isn't.
    Committing,
    /// It is on the disk, and nobody knows yet.
    Committed,
    /// Some of the effects were carried out.
    Effect,
}

impl DevicePlan {
    fn describe(&self) -> String {
        let who = if self.stranger { "a stranger" } else { "a device" };
        let sleeps = self.rhythm.map_or_else(
            || "doesn't sleep".to_owned(),
            |it| {
                let by = if it.by_clock { "by a clock" } else { "by a timer" };
                let (window, period) = (it.window / SECOND, it.period / SECOND);
                format!(
                    "is awake for {window} s every {period} s {by}, give or take {} ms",
                    it.jitter
                )
            },
        );
        let has = [
            (self.hash_at_first, "a hash"),
            (self.says_plan, "its sleep in its YAML"),
            (self.literal_address, "a literal address"),
            (self.repeater, "a repeater"),
            (self.own_key, "a key"),
            (self.password, "a password"),
        ];
        let has: Vec<&str> = has.iter().filter(|(it, _)| *it).map(|(_, what)| *what).collect();
        format!(
            "{}: {who} that {sleeps}, announces {:?}, has {}; {} ms, {} kB at {} kB/s",
            self.key,
            self.voice,
            if has.is_empty() { "nothing".to_owned() } else { has.join(", ") },
            self.rtt,
            self.size / 1_000,
            self.bytes_per_ms
        )
    }
}

impl Plan {
    /// What it holds, in words.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines =
            vec![format!("A life of {} from the seed {}", clock(self.length), self.seed)];
        lines.push(format!("{:?}", self.host));
        lines.extend(self.devices.iter().map(DevicePlan::describe));
        let happenings = self.happenings.iter();
        lines.extend(happenings.map(|it| format!("at {}: {:?}", clock(it.at), it.what)));
        lines.extend(self.crash_at.map(|at| format!("killed at boundary {at}")));
        lines.push(String::new());
        lines
    }
}
