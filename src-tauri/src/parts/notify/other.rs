//! Notifications where there is no session bus. A click on one isn't reported.

use wakeflash_core::device::DeviceId;
use wakeflash_core::notification::{Shown, Text};
use wakeflash_core::words::Lang;

use super::{APP_NAME, Click, Failures};

/// What shows notifications.
pub(super) struct Daemon {
    failures: Failures,
}

impl Daemon {
    #[allow(clippy::unused_async, reason = "the same signatures as on Linux")]
    pub(super) async fn connect() -> Self {
        Self { failures: Failures::default() }
    }

    pub(super) async fn show(&mut self, shown: &Shown, lang: Lang) {
        self.say(&shown.text(lang, false), lang).await;
    }

    pub(super) async fn say(&mut self, text: &Text, _lang: Lang) -> bool {
        let text = text.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut notification = notify_rust::Notification::new();
            notification.appname(APP_NAME).summary(&text.title).body(&text.body).show().map(drop)
        });
        match work.await {
            Ok(Ok(())) => {
                self.failures.over();
                return true;
            }
            Ok(Err(error)) => self.failures.log(&error),
            Err(error) => self.failures.log(&error),
        }
        false
    }

    #[allow(clippy::unused_async, reason = "the same signatures as on Linux")]
    pub(super) async fn close(&mut self, _device: &DeviceId) {}

    pub(super) fn forget_group(&mut self) {}

    pub(super) async fn clicked(&mut self) -> Click {
        std::future::pending().await
    }
}
