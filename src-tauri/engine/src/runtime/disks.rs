//! Disks that were full: builds that failed for want of room are made again when there is some.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wakeflash_core::build_failure::Lack;

use super::Runtime;
use super::report::Report;

/// How often to look while a build waits for room.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// So much more room is worth a try, or a twentieth of a small disk.
const WORTH_A_TRY: u64 = 64 << 20;

/// The room on one disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    free: u64,
    total: u64,
}

/// The least room that was seen on each disk.
#[derive(Debug, Default)]
struct Least(Vec<Option<Room>>);

impl Least {
    /// Takes over what the disks are like now. Whether one of them has clearly more room than it had.
    fn has_grown(&mut self, now: &[Option<Room>]) -> bool {
        self.0.resize(now.len(), None);
        let mut grown = false;
        for (least, now) in self.0.iter_mut().zip(now) {
            let Some(now) = now else { continue };
            match least {
                Some(least) if now.free < least.free => *least = *now,
                Some(least) => {
                    let worth_a_try = WORTH_A_TRY.min(now.total / 20).max(1);
                    grown |= now.free - least.free >= worth_a_try;
                }
                None => *least = Some(*now),
            }
        }
        grown
    }
}

impl Runtime {
    /// Watches the disks that builds write to, as long as one of them waits for room.
    pub(super) fn watch_disks(&mut self) {
        let wanted = self.conductor.state().builds_wait_for(Lack::Disk);
        match (wanted, self.work.disks.take()) {
            (true, Some(watched)) => self.work.disks = Some(watched),
            (true, None) => self.start_watching_disks(),
            (false, Some(watched)) => watched.cancel(),
            (false, None) => {}
        }
    }

    fn start_watching_disks(&mut self) {
        let cancel = self.cancel.child_token();
        self.work.disks = Some(cancel.clone());
        let config_dir = self.conductor.state().settings().config_dir.clone().map(PathBuf::from);
        let own = [self.options.state_dir.clone(), std::env::temp_dir()];
        // ESPHome and PlatformIO keep toolchains below the home.
        let places = own.into_iter().chain(config_dir).chain(std::env::home_dir()).collect();
        self.spawn(async move {
            tokio::select! {
                () = until_freed(places, &cancel) => Some(Report::DiskFreed),
                () = cancel.cancelled() => None,
            }
        });
    }

    /// What waits for room is tried; should it not be enough, the disks are watched anew.
    pub(super) fn disk_freed(&mut self) {
        self.work.disks = None;
        self.happened(wakeflash_core::dispatch::Input::DiskFreed);
    }
}

/// Waits until there is clearly more room in one of these places. A share that doesn't answer only holds this up.
async fn until_freed(places: Vec<PathBuf>, cancel: &CancellationToken) {
    let mut least = Least::default();
    while !cancel.is_cancelled() {
        let asked = places.clone();
        let looked = spawn_blocking(move || asked.iter().map(room).collect::<Vec<_>>()).await;
        match looked {
            Ok(now) if least.has_grown(&now) => return,
            Ok(_) => {}
            Err(error) => tracing::error!("looking for room on the disks: {error}"),
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

#[cfg(unix)]
fn room(place: &PathBuf) -> Option<Room> {
    // One that isn't there says nothing.
    let disk = rustix::fs::statvfs(place).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Room { free: bytes(disk.f_bavail), total: bytes(disk.f_blocks) })
}

/// Nothing tells here: the pause of the build ends by itself.
#[cfg(not(unix))]
fn room(_place: &PathBuf) -> Option<Room> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(free: u64, total: u64) -> Option<Room> {
        Some(Room { free: free * MIB, total: total * MIB })
    }

    #[test]
    fn only_clearly_more_room_than_the_least_is_worth_a_try() {
        let mut least = Least::default();
        for free in [500, 563, 400, 420, 463, 400] {
            assert!(!least.has_grown(&[disk(free, 100_000)]), "{free}");
        }
        assert!(least.has_grown(&[disk(464, 100_000)]));
    }

    #[test]
    fn a_small_disk_needs_less_and_each_disk_counts_for_itself() {
        let mut least = Least::default();
        assert!(!least.has_grown(&[disk(0, 100), disk(900, 100_000), None]));
        assert!(!least.has_grown(&[disk(4, 100), disk(900, 100_000), None]));
        assert!(!least.has_grown(&[disk(0, 100), None, disk(70, 70)]));
        assert!(!least.has_grown(&[disk(0, 100), disk(950, 100_000), disk(1, 70)]));
        assert!(least.has_grown(&[disk(5, 100), disk(900, 100_000), None]));
        assert!(!Least::default().has_grown(&[None, disk(0, 0)]));
    }

    #[test]
    #[cfg(unix)]
    fn the_room_of_a_place_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let room_here = room(&dir.path().to_owned()).unwrap();
        assert!(room_here.free <= room_here.total && room_here.total > 0);
        assert_eq!(room(&dir.path().join("nothing")), None);
    }
}
