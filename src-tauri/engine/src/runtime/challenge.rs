//! When a device's password challenge is answered. The answer lets whoever asked try passwords at leisure, and most
//! people give all their devices the same one.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use wakeflash_core::credentials::password_check;
use wakeflash_core::device::DeviceId;
use wakeflash_core::gate::Standing;
use wakeflash_ota::{PasswordCheck, Progress, Step};

/// The devices in whose name a challenge was answered by which no more than a claim stood. What they are asked next
/// has to be shown: who never shows more gets no second answer. A restart of the application forgets it.
#[derive(Clone, Debug, Default)]
pub(super) struct OnClaim(Arc<Mutex<BTreeSet<DeviceId>>>);

impl OnClaim {
    /// What it takes to be this device.
    pub(super) fn least(&self, device: &DeviceId) -> Standing {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if before.contains(device) { Standing::Shown } else { Standing::Claimed }
    }

    /// A challenge in the name of this device is about to be answered.
    fn note(&self, device: &DeviceId, standing: Standing) {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match standing {
            Standing::Claimed => before.insert(device.clone()),
            Standing::Unknown | Standing::Shown => before.remove(device),
        };
    }
}

/// A device that may ask for its password.
#[derive(Debug)]
pub(super) struct Challenger<'a> {
    pub(super) device: &'a DeviceId,
    /// What it takes to be it.
    pub(super) least: Standing,
    pub(super) on_claim: &'a OnClaim,
    /// What it is known to run.
    pub(super) version: Option<&'a str>,
}

impl Challenger<'_> {
    /// Waits until the device has asked, and until it is known who it is. Never ends when that doesn't get known:
    /// the gate refuses it then.
    pub(super) async fn known(
        &self,
        mut standing: watch::Receiver<Standing>,
        mut progress: watch::Receiver<Progress>,
        heard: impl FnOnce() -> Option<String>,
    ) -> PasswordCheck {
        let enough = standing.wait_for(|now| *now >= self.least).await.is_ok();
        // A device without a password goes past this step, and nothing is to be noted.
        let asked = progress.wait_for(|progress| progress.step >= Step::Identity).await;
        let asks = asked.is_ok_and(|progress| progress.step == Step::Identity);
        if !enough || !asks {
            return pending().await;
        }
        let standing = *standing.borrow();
        tracing::debug!("{} asks for its password: {standing:?}", self.device);
        self.on_claim.note(self.device, standing);
        let version = self.version.map(str::to_owned).or_else(heard);
        password_check(version.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::time::timeout;

    fn at(step: Step) -> Progress {
        Progress { step, ..crate::flasher::no_progress() }
    }

    /// Whether a challenge is answered, and how.
    async fn answered(on_claim: &OnClaim, standing: Standing, step: Step) -> Option<PasswordCheck> {
        let device = DeviceId::of_file("sleepy.yaml");
        let least = on_claim.least(&device);
        let version = Some("2026.10.0");
        let challenger = Challenger { device: &device, least, on_claim, version };
        let (_gate, standing) = watch::channel(standing);
        let (_session, progress) = watch::channel(at(step));
        let known = challenger.known(standing, progress, || None);
        timeout(Duration::from_secs(1), known).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_claims_to_be_the_device_gets_one_answer() {
        let on_claim = OnClaim::default();
        assert_eq!(answered(&on_claim, Standing::Unknown, Step::Identity).await, None);
        assert!(answered(&on_claim, Standing::Claimed, Step::Identity).await.is_some());
        for _ in 0..3 {
            assert_eq!(answered(&on_claim, Standing::Claimed, Step::Identity).await, None);
        }
        // The device itself shows more, and is believed again.
        assert!(answered(&on_claim, Standing::Shown, Step::Identity).await.is_some());
        assert!(answered(&on_claim, Standing::Claimed, Step::Identity).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_asks_for_no_password_costs_no_answer() {
        let on_claim = OnClaim::default();
        assert_eq!(answered(&on_claim, Standing::Claimed, Step::Gate).await, None);
        assert!(answered(&on_claim, Standing::Claimed, Step::Identity).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_decides_about_md5_before_what_was_heard() {
        let on_claim = OnClaim::default();
        let device = DeviceId::of_file("sleepy.yaml");
        let check = async |version: Option<&str>, heard: Option<&str>| {
            let least = Standing::Claimed;
            let challenger = Challenger { device: &device, least, on_claim: &on_claim, version };
            let (_gate, standing) = watch::channel(Standing::Shown);
            let (_session, progress) = watch::channel(at(Step::Identity));
            challenger.known(standing, progress, || heard.map(str::to_owned)).await
        };
        assert_eq!(check(None, None).await, PasswordCheck::Sha256);
        assert_eq!(check(Some("2026.10.0"), Some("2024.6.0")).await, PasswordCheck::Sha256);
        assert_eq!(check(None, Some("2024.6.0")).await, PasswordCheck::AlsoMd5);
        assert_eq!(check(Some("2025.9.3"), None).await, PasswordCheck::AlsoMd5);
    }
}
