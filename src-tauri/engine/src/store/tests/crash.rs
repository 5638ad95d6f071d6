//! A crash at any moment: what comes back is what was stored last, or what was just being stored, and nothing else.

use super::disk::{Disk, Op, files};
use super::*;
use crate::store::rows::samples::samples;

/// A source of chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn toss(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

/// What becomes of what was written and not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsynced {
    /// The process was killed: all of it is there.
    Kept,
    /// The power was cut: nothing of it is there.
    Lost,
    /// Some sectors of it are there, in whatever order.
    Torn,
}

/// A file on a disk that may lose what wasn't waited for.
#[derive(Clone, Default)]
struct OnDisk {
    safe: Vec<u8>,
    pending: Vec<Op>,
}

const SECTOR: usize = 512;

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

impl OnDisk {
    fn after(&self, unsynced: Unsynced, chance: &mut Chance) -> Vec<u8> {
        let mut content = self.safe.clone();
        for op in self.pending.iter().filter(|_| unsynced != Unsynced::Lost) {
            match op {
                Op::Write { at, bytes, .. } => {
                    let first = (SECTOR - at % SECTOR).min(bytes.len());
                    let (head, rest) = bytes.split_at(first);
                    let mut at = *at;
                    for sector in std::iter::once(head).chain(rest.chunks(SECTOR)) {
                        if unsynced == Unsynced::Kept || chance.toss() {
                            put(&mut content, at, sector);
                        }
                        at += sector.len();
                    }
                }
                Op::Truncate { size, .. } => {
                    if unsynced == Unsynced::Kept || chance.toss() {
                        content.truncate(*size);
                    }
                }
                Op::Sync { .. } | Op::Delete { .. } | Op::Stored(_) => {}
            }
        }
        content
    }
}

/// The files after a crash at this moment.
fn after_crash(
    before: &BTreeMap<String, Vec<u8>>,
    log: &[Op],
    unsynced: Unsynced,
    chance: &mut Chance,
) -> BTreeMap<String, Vec<u8>> {
    let safe = |content: &Vec<u8>| OnDisk { safe: content.clone(), pending: Vec::new() };
    let mut disk: BTreeMap<String, OnDisk> =
        before.iter().map(|(name, content)| (name.clone(), safe(content))).collect();
    for op in log {
        match op {
            Op::Write { file, .. } | Op::Truncate { file, .. } => {
                disk.entry(file.clone()).or_default().pending.push(op.clone());
            }
            Op::Sync { file } => {
                let on_disk = disk.entry(file.clone()).or_default();
                on_disk.safe = on_disk.after(Unsynced::Kept, chance);
                on_disk.pending.clear();
            }
            Op::Delete { file } => {
                if unsynced != Unsynced::Torn || chance.toss() {
                    disk.remove(file);
                }
            }
            Op::Stored(_) => {}
        }
    }
    disk.into_iter().map(|(name, file)| (name, file.after(unsynced, chance))).collect()
}

fn put_into(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, content) in files {
        std::fs::write(dir.join(name), content).unwrap();
    }
}

/// Changes of all kinds, small and large, that follow each other.
pub(super) fn changes() -> Vec<Commit> {
    let all = samples();
    let long = |id: u32, notes: usize| {
        let mut update = update(id, "a.yaml", UpdateState::Queued);
        for note in 0..notes {
            update.note(Timestamp::from_millis(7), format!("Note {note} of {notes}."));
        }
        update
    };
    let memory = |version: usize| {
        let version = Some(format!("2026.{version}.0"));
        let claims = Claims { version, ..Claims::default() };
        ("moved".to_owned(), DeviceMemory { claims, ..DeviceMemory::default() })
    };
    let update = |id| Commit { updates: vec![long(100, id)], ..Commit::default() };
    let mut changes = vec![all.clone()];
    changes.extend([1, 90, 3, 60].map(update));
    changes.push(Commit { memories: vec![memory(1)], ..Commit::default() });
    let forgotten = vec!["moved".to_owned(), "sleepy".to_owned()];
    changes.push(Commit { forgotten, memories: vec![memory(2)], ..Commit::default() });
    changes.push(Commit { settings: Some(Settings::default()), ..Commit::default() });
    changes.push(Commit { wakes: all.wakes, ..Commit::default() });
    changes
}

/// Lets the log be brought into the database after few pages, so that this happens between the commits.
pub(super) fn checkpoint_often(store: &Store) {
    let often = |connection: &mut Connection| {
        connection.pragma_update(None, "wal_autocheckpoint", 8).unwrap();
    };
    store.writer.with(often).unwrap();
}

#[tokio::test]
async fn after_a_crash_at_any_moment_all_that_was_stored_is_there_and_nothing_half() {
    let dir = scratch();
    drop(Store::open(dir.path()).unwrap());
    let before: BTreeMap<_, _> = files(dir.path()).into_iter().collect();
    let disk = Disk::register("crash");
    let mut store = Store::open_on(dir.path(), "crash").unwrap();
    checkpoint_often(&store);
    let mut states = vec![store.load().unwrap()];
    for (number, change) in changes().into_iter().enumerate() {
        store.commit(change).await.unwrap();
        disk.note(Op::Stored(number + 1));
        states.push(store.load().unwrap());
    }
    drop(store);
    let log = disk.log();
    let checkpoints = log.iter().filter(|op| **op == Op::Sync { file: "wakeflash.db".into() });
    assert!(checkpoints.count() > 2 && log.len() > 100, "{}", log.len());

    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let mut stored = 0;
    for moment in 0..=log.len() {
        if let Some(Op::Stored(number)) = moment.checked_sub(1).map(|last| &log[last]) {
            stored = *number;
        }
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn] {
            let crashed = scratch();
            let files = after_crash(&before, &log[..moment], unsynced, &mut chance);
            put_into(crashed.path(), &files);
            let context = format!("{unsynced:?} at {moment} of {}, {stored} stored", log.len());
            let store = Store::open(crashed.path()).expect(&context);
            let found = store.load().expect(&context);
            let possible = &states[stored..states.len().min(stored + 2)];
            assert!(possible.contains(&found), "{context}: {found:#?}");
        }
    }
    assert_eq!(stored, states.len() - 1);
}

/// What lies in the directory while the store is open, with its log.
async fn with_log() -> (tempfile::TempDir, Vec<Loaded>, BTreeMap<PathBuf, Vec<u8>>) {
    let dir = scratch();
    let mut store = Store::open(dir.path()).unwrap();
    let mut states = vec![store.load().unwrap()];
    for change in changes() {
        store.commit(change).await.unwrap();
        states.push(store.load().unwrap());
    }
    let content = content(dir.path());
    (dir, states, content)
}

#[tokio::test]
async fn a_log_that_was_cut_anywhere_leaves_a_state_that_was_and_is_told() {
    let (_dir, states, content) = with_log().await;
    let log = content.iter().find(|(path, _)| path.ends_with("wakeflash.db-wal")).unwrap().1;
    // The borders of all pages, and places between them.
    let page = 24 + 4096;
    let mut lengths: Vec<usize> = (0..40).chain((32..log.len()).step_by(page)).collect();
    lengths.extend((32..log.len()).step_by(page).flat_map(|at| [at + 1, at + 24, at + 700]));
    lengths.extend((0..log.len()).step_by(1_777));
    lengths.sort_unstable();
    lengths.push(log.len());
    let mut reached = 0;
    for length in lengths.into_iter().filter(|length| *length <= log.len()) {
        let cut = scratch();
        for (path, bytes) in &content {
            let bytes = if path.ends_with("wakeflash.db-wal") { &bytes[..length] } else { bytes };
            std::fs::write(cut.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let store = Store::open(cut.path()).unwrap();
        let mut found = store.load().unwrap();
        let lost = found.problems.iter().any(|problem| problem.code == "store.cut");
        let paused = found.settings.paused;
        found.problems.clear();
        let same = |state: &Loaded| {
            let settings = Settings { paused, ..state.settings.clone() };
            Loaded { settings, ..state.clone() } == found
        };
        let at = states.iter().position(same).expect("a state that was");
        assert!(at >= reached, "{length}: {at} after {reached}");
        reached = at;
        // With the last commit's pages all is there.
        let whole = at == states.len() - 1;
        assert_eq!((lost, lost && !paused), (!whole, false), "{length} of {}", log.len());
    }
    assert_eq!(reached, states.len() - 1);
}

#[tokio::test]
async fn a_database_without_its_log_is_told_until_the_user_resumes() {
    let (_dir, _, content) = with_log().await;
    let cut = scratch();
    for (path, bytes) in &content {
        if !path.ends_with("wakeflash.db-wal") {
            std::fs::write(cut.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    for _ in 0..2 {
        let mut store = Store::open(cut.path()).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.problems.len(), 1, "{:?}", loaded.problems);
        assert_eq!(loaded.problems[0].code, "store.cut");
        assert!(loaded.settings.paused);
        let settings = Some(Settings { max_builds: 3, ..loaded.settings });
        store.commit(Commit { settings, ..Commit::default() }).await.unwrap();
    }
    let mut store = Store::open(cut.path()).unwrap();
    let settings = Some(Settings::default());
    store.commit(Commit { settings, ..Commit::default() }).await.unwrap();
    assert_eq!(store.load().unwrap().problems, []);
    drop(store);
    // Closed in order, it says nothing.
    assert!(!cut.path().join("wakeflash.db-end").exists());
    assert_eq!(Store::open(cut.path()).unwrap().load().unwrap().problems, []);
}
