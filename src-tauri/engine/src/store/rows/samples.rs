//! One of everything that a row can hold, for the tests.

use std::net::IpAddr;
use std::time::Duration;

use wakeflash_core::build_failure::Lack;
use wakeflash_core::device::{
    BeforeInstall, ConfigHash, ConfiguredBy, DeviceId, DeviceMemory, InstalledBuild, MacAddress,
};
use wakeflash_core::device_log::LogWish;
use wakeflash_core::error::Problem;
use wakeflash_core::identity::{Claims, Identity, Rival, RunningBuild};
use wakeflash_core::schedule::{SleepPlan, Wake};
use wakeflash_core::settings::{ChangedSources, Language, NotifyKinds, Settings, Theme};
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{
    Acknowledgement, Api, AttemptReport, AvoidedAddress, Before, BootCheck, Build, BuildAgain,
    BuildStamp, Cleaning, Counts, Cuts, Delivery, Encryption, FlashStage, InstalledHow, OtaMethod,
    OtaParameters, PasswordChoice, RollbackWatch, Secret, Sha256, Shipped, SourceChange,
    SourceChangeKind, SourceFile, SourceTracking, StateKind, TimelineEntry, Update, UpdateId,
    UpdateState,
};

use crate::store::Commit;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn peer() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn problem() -> Problem {
    Problem::new("ota.closed", "The connection broke.").with_help("Wait.")
}

fn source(path: &str, counts: Counts) -> SourceFile {
    SourceFile { counts, ..SourceFile::file(path, Some(Sha256("34".repeat(32)))) }
}

fn stamp() -> BuildStamp {
    BuildStamp("2026-11-30 09:46:06 +0000".into())
}

fn delivery(encryption: Encryption, everything: bool) -> Delivery {
    let some = |text: &str| everything.then(|| text.to_owned());
    Delivery {
        build: Build {
            image: Sha256("ab".repeat(32)),
            size: 500_000,
            config_hash: everything.then_some(ConfigHash(0xbbbb)),
            esphome_version: some("2026.10.0"),
            stamp: everything.then(stamp),
            built_at: at(1_000),
            name: "sleepy".into(),
            mac_suffix: everything,
            sources: vec![
                SourceFile::file("a.yaml", Some(Sha256("cd".repeat(32)))),
                SourceFile::file("secrets.yaml", None),
                source(
                    "parts/secrets.yaml",
                    Counts::Secrets { names: vec!["ota".into()], values: Sha256("12".repeat(32)) },
                ),
                source("parts/", Counts::Names(vec!["x.h".into()])),
                source(".esphome/packages/12", Counts::Commit),
            ],
            ota: OtaParameters {
                method: if everything { OtaMethod::Native } else { OtaMethod::WebServer },
                port: 3232,
                password: some("hunter2").map(Secret),
                encryption,
            },
            credentials_changed: everything,
            address: some("sleepy.local"),
            before: Before { port: everything.then_some(8266), address: some("192.0.2.8") },
            deep_sleep: everything,
            sleep_plan: everything
                .then_some(SleepPlan { run_ms: Some(15_000), sleep_ms: Some(3_600_000) }),
            boot_check: everything.then_some(BootCheck { after_ms: 60_000, at_sleep: true }),
            api: everything.then(|| Api { port: 6054, key: some("k").map(Secret) }),
            mdns: everything,
        },
        tracking: if everything { SourceTracking::Waived } else { SourceTracking::Tracked },
        password: if everything { PasswordChoice::LastInstalled } else { PasswordChoice::OfBuild },
        attempts: 2,
        device_errors: 1,
        cuts: if everything {
            Cuts { in_all: 4, in_wake: 2, wake: Some(17) }
        } else {
            Cuts::default()
        },
        repeated_blindly: everything,
        last_attempt: everything.then(|| AttemptReport { at: at(5), problem: problem() }),
        warning: everything.then(problem),
        encrypted: everything.then_some(true),
        avoided: Vec::from_iter(
            everything.then(|| AvoidedAddress { address: peer(), until: at(9_000) }),
        ),
    }
}

fn full() -> Delivery {
    let key = Secret("k".into());
    delivery(Encryption::Required { key, allow_plaintext: true }, true)
}

fn plain() -> Delivery {
    delivery(Encryption::None, false)
}

fn states() -> Vec<UpdateState> {
    let offered = Encryption::Offered { key: Secret("k".into()) };
    let hash = Some(ConfigHash(0xaaaa));
    let changes = [
        SourceChangeKind::Edited,
        SourceChangeKind::Removed,
        SourceChangeKind::Added,
        SourceChangeKind::Unreadable,
    ];
    let changes = changes.map(|kind| SourceChange { path: "a.yaml".into(), kind }).to_vec();
    let failed = |rolled_back, other| UpdateState::Failed {
        at: at(9),
        problem: if other { problem() } else { Problem::new("build.failed", "No.") },
        rolled_back,
        taken_back: None,
        may_have_arrived: other,
        dismissed: other,
    };
    let installed =
        |delivery, how, watch| UpdateState::Installed { delivery, at: at(9), how, watch };
    let flashing = |delivery, peer: IpAddr, previous_hash, stage| UpdateState::Flashing {
        delivery,
        started_at: at(7),
        peer,
        previous_hash,
        stage,
    };
    let confirming = |acknowledgement, previous_hash, returned_at| UpdateState::Confirming {
        delivery: full(),
        acknowledgement,
        since: at(7),
        previous_hash,
        peer: "fd00::7".parse().unwrap(),
        returned_at,
    };
    vec![
        UpdateState::Queued,
        UpdateState::Building { started_at: at(7) },
        UpdateState::Waiting { delivery: plain(), retry_at: None },
        UpdateState::Waiting { delivery: full(), retry_at: Some(at(8)) },
        UpdateState::Held { delivery: delivery(offered, true), changes },
        flashing(plain(), peer(), None, FlashStage::Incomplete),
        flashing(full(), "fd00::7".parse().unwrap(), hash, FlashStage::MayBeComplete),
        confirming(Acknowledgement::Unknown, hash, Some(at(8))),
        confirming(Acknowledgement::Final, None, None),
        installed(full(), InstalledHow::Confirmed, RollbackWatch::Watched),
        installed(plain(), InstalledHow::Returned, RollbackWatch::Over),
        installed(plain(), InstalledHow::AlreadyRunning, RollbackWatch::Over),
        failed(false, false),
        failed(true, true),
        UpdateState::Cancelled { at: at(9), may_have_arrived: true },
        UpdateState::Superseded { at: at(9), by: UpdateId(3) },
        UpdateState::Failed {
            at: at(9),
            problem: problem(),
            rolled_back: true,
            taken_back: Some(Box::new(full())),
            may_have_arrived: false,
            dismissed: false,
        },
    ]
}

fn update(id: u32, state: UpdateState) -> Update {
    let everything = id.is_multiple_of(2);
    let code = || everything.then(|| "ota.closed".to_owned());
    let entry =
        |state| TimelineEntry { at: at(1), state, text: "It went on.".into(), code: code() };
    Update {
        id: UpdateId(id),
        device: DeviceId::of_file(format!("d{id}.yaml")),
        directory: everything.then(|| "/config".into()),
        name: format!("d{id}"),
        requested_at: at(1),
        known_hashes: vec![ConfigHash(0xaaaa)],
        mac: everything.then_some(MacAddress([2, 0, 0, 0, 0, 7])),
        from_version: everything.then(|| "2026.8.0".into()),
        previous_stamp: everything.then(stamp),
        wire_size: everything.then_some(300_000),
        ended_delivery: everything.then(|| Shipped {
            image_size: 500_000,
            config_hash: Some(ConfigHash(0xbbbb)),
            version: Some("2026.9.0".into()),
            attempts: 1,
            encrypted: Some(false),
        }),
        build_again: everything.then(|| BuildAgain {
            failures: 2,
            lack: Lack::Directory,
            problem: problem(),
            not_before: Some(at(9)),
        }),
        changed_in_builds: Vec::from_iter(everything.then(|| "made.h".to_owned())),
        cleaning: if everything { Cleaning::Reset } else { Cleaning::No },
        earlier_may_have_arrived: everything,
        state,
        timeline: StateKind::ALL.map(entry).to_vec(),
    }
}

fn memory() -> DeviceMemory {
    let sources = || InstalledBuild {
        digest: Sha256("ef".repeat(32)),
        files: vec![SourceFile::file("a.yaml", Some(Sha256("cd".repeat(32))))],
        config_hash: Some(ConfigHash(0xaaaa)),
        version: Some("2026.9.0".into()),
        stamp: Some(stamp()),
        port: Some(3232),
        address: Some("192.0.2.7".into()),
    };
    let addresses: Vec<IpAddr> = vec![peer(), "fd00::7".parse().unwrap()];
    let (mac, link) = (MacAddress([2, 0, 0, 0, 0, 7]), MacAddress([2, 0, 0, 0, 0, 8]));
    let (version, config_hash) = (Some("2026.9.0".to_owned()), Some(ConfigHash(0xaaaa)));
    let build = RunningBuild { version: version.clone(), config_hash, stamp: Some(stamp()) };
    DeviceMemory {
        last_seen: Some(at(5)),
        identity: Identity::stored(
            Some(mac),
            vec![link],
            addresses.clone(),
            Some(build),
            Some(at(5)),
        ),
        claims: Claims {
            mac: Some(mac),
            link_address: Some(link),
            addresses,
            version,
            config_hash,
            hashes: Vec::new(),
        },
        rival: None,
        hashes: vec![ConfigHash(0xaaaa)],
        announces_hash: true,
        friendly_name: Some("Sleepy".into()),
        platform: Some("ESP32".into()),
        deep_sleep: true,
        sleep_plan: Some(SleepPlan { run_ms: None, sleep_ms: Some(60_000) }),
        overdue_told: Some(at(6)),
        installed_password: Some(Secret("old".into())),
        installed_sources: Some(sources()),
        user_address: Some("192.0.2.9".into()),
        labels: ["On batteries".to_owned()].into(),
        installed_encryption: Some(Encryption::None),
        configured_by: Some(ConfiguredBy {
            directory: Some("/config".into()),
            file: DeviceId::of_file("sleepy.yaml"),
        }),
        chosen: Some(ConfiguredBy { directory: None, file: DeviceId::of_file("b.yaml") }),
        before_install: Some(BeforeInstall {
            password: Some(Secret("older".into())),
            encryption: Some(Encryption::Offered { key: Secret("k".into()) }),
            sources: Some(sources()),
        }),
        transfers: vec![at(1_000), at(61_000)],
        kept_builds: vec![plain().build, full().build],
        record_log: Some(LogWish { asked_at: at(9), while_awake: true, wake: Some(2) }),
    }
}

/// A device whose name another board claims; no older version knew of that.
pub(super) fn contested() -> DeviceMemory {
    let build = RunningBuild { version: Some("2026.8.0".into()), config_hash: None, stamp: None };
    DeviceMemory {
        claims: Claims { hashes: vec![ConfigHash(7), ConfigHash(8)], ..Claims::default() },
        rival: Some(Rival {
            mac: Some(MacAddress([2, 0, 0, 0, 0, 9])),
            link_address: Some(MacAddress([2, 0, 0, 0, 0, 10])),
            address: Some(peer()),
            build: Some(build),
            at: at(11),
        }),
        ..DeviceMemory::default()
    }
}

/// One of everything.
pub(in crate::store) fn samples() -> Commit {
    let settings = Settings {
        config_dir: Some("/config".into()),
        esphome_path: Some("/bin/esphome".into()),
        own_esphome: true,
        compiler_cache: Some("http://cache".into()),
        changed_sources: ChangedSources::Rebuild,
        max_builds: 2,
        max_flashes: 3,
        notify: NotifyKinds { installed: false, failed: true, held: false, overdue: true },
        theme: Theme::Dark,
        language: Language::De,
        start_at_login: true,
        paused: true,
    };
    let awake = Some(Duration::from_millis(1_500));
    let wakes = vec![
        Wake { number: 1, at: at(7), awake, flashed: true },
        Wake { number: 2, at: at(8), awake: None, flashed: false },
    ];
    Commit {
        updates: (1..).zip(states()).map(|(id, state)| update(id, state)).collect(),
        forgotten: Vec::new(),
        memories: vec![
            ("contested".into(), contested()),
            ("new".into(), DeviceMemory::default()),
            ("sleepy".into(), memory()),
        ],
        wakes: vec![("sleepy".into(), wakes)],
        settings: Some(settings),
    }
}
