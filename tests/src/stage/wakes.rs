//! The wakes of the device of a scene.

use std::time::Duration;

use anyhow::{Result, bail};
use wakeflash_core::device::Presence;
use wakeflash_core::view::{DeviceView, Trust};

use super::{BUILD, SOON, Stage};
use crate::device::DeviceState;
use crate::supervisor::Wake;

/// Long enough on a busy machine for a device that is awake to prove who it is, if it can.
const PROOF: Duration = Duration::from_secs(15);

/// How many short windows a device has that is to be caught in one: a busy machine may sleep through the others.
const WINDOWS: u32 = 8;

impl Stage {
    /// Lets the device wake, so that the application sees it, and sleep again when it has proven who it is. Should that
    /// fail, it wakes again: on a busy machine the answer may come too late.
    ///
    /// # Errors
    /// When it isn't seen, or doesn't sleep.
    pub async fn let_it_be_seen(&self) -> Result<()> {
        for _ in 0..3 {
            self.device.wake_fully().await?;
            self.until("the device is online", SOON, |device| {
                device.presence == Presence::Online
                    && device.deployed_hash.is_some_and(|hash| hash.0 == self.old.config_hash)
            })
            .await?;
            let is_proven = |device: &DeviceView| device.trust == Trust::Proven;
            let proven = self.until("it has proven who it is", PROOF, is_proven).await;
            self.let_it_sleep().await?;
            if proven.is_ok() {
                break;
            }
        }
        Ok(())
    }

    /// Sends the device to sleep, with a goodbye that the application has heard when this returns.
    ///
    /// # Errors
    /// When it doesn't sleep.
    pub async fn let_it_sleep(&self) -> Result<()> {
        self.device.sleep(true).await?;
        let is_asleep = |device: &DeviceView| device.presence == Presence::Asleep;
        self.until("the device is asleep", SOON, is_asleep).await.map(|_| ())
    }

    /// A wake until further notice.
    ///
    /// # Errors
    /// When the device can't be woken.
    pub async fn wake(&self) -> Result<()> {
        self.device.wake(Wake::default()).await
    }

    /// Lets the device wake like this until one of these windows was enough, and then as [`Stage::let_it_speak`].
    ///
    /// # Errors
    /// When none is, or the device doesn't sleep.
    pub async fn let_it_be_caught(&self, window: Wake) -> Result<()> {
        self.until_window_has(window, "a flash", |state| state.ota_done > 0).await?;
        self.let_it_speak().await
    }

    /// Lets the device wake like this until something has happened in one of these windows.
    ///
    /// # Errors
    /// When it happens in none.
    pub async fn until_window_has(
        &self,
        window: Wake,
        what: &str,
        wanted: impl Fn(&DeviceState) -> bool,
    ) -> Result<DeviceState> {
        for _ in 0..WINDOWS {
            self.device.wake(window).await?;
            // A transfer that goes on by TCP's timeouts takes its time.
            let over = |state: &DeviceState| wanted(state) || !state.running;
            let state = self.device.wait(what, BUILD, over).await?;
            if wanted(&state) {
                return Ok(state);
            }
        }
        bail!("{what} in none of {WINDOWS} windows: {:?}", self.device.state().await?)
    }

    /// Waits for the end of the window in which the device was flashed, and lets it wake once more: it may not
    /// have had the time to say what it runs, and this wake must not lead to another flash.
    ///
    /// # Errors
    /// When it isn't flashed, or doesn't sleep.
    pub async fn let_it_speak(&self) -> Result<()> {
        self.device.until_asleep_after(1, SOON).await?;
        self.device.wake_fully().await.map(|_| ())
    }
}
