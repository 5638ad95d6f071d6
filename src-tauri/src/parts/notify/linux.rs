//! The notification daemon of the session bus. One connection lives as long as the application: some daemons
//! take a notification away when its sender is gone, and one listener misses no click.

mod screen;

use std::collections::HashMap;

use futures_util::StreamExt;
use wakeflash_core::device::DeviceId;
use wakeflash_core::notification::{Shown, Text};
use wakeflash_core::words::Lang;
use zbus::zvariant::Value;

use super::{APP_NAME, Click, Failures};
use crate::means::notification_server::linux::{NAME, PATH, capabilities, has, patiently};
use screen::{Key, Screen, Signal};

/// The names of the installed desktop file and icon.
const DESKTOP_ENTRY: &str = "Wakeflash";
const ICON: &str = "wakeflash";
/// How many signals may wait while a call is answered. The bus tells of the clicks of all applications.
const SIGNALS: usize = 1_024;

pub(super) struct Daemon {
    bus: Option<Bus>,
    screen: Screen,
    failures: Failures,
}

struct Bus {
    connection: zbus::Connection,
    signals: zbus::MessageStream,
}

impl Daemon {
    pub(super) async fn connect() -> Self {
        let bus = match Bus::connect().await {
            Ok(bus) => Some(bus),
            Err(error) => {
                tracing::debug!("there is no session bus: {error}");
                None
            }
        };
        Self { bus, screen: Screen::default(), failures: Failures::default() }
    }

    /// Shows a notification in the place of the one before about the same.
    pub(super) async fn show(&mut self, shown: &Shown, lang: Lang) {
        let outcome = match &self.bus {
            Some(bus) => bus.show(shown, lang, &self.screen).await,
            None => Err(no_bus()),
        };
        match outcome {
            Ok((id, text)) => {
                self.failures.over();
                self.screen.shown(Key::of(shown), id, text.device, is_failure(shown));
            }
            Err(error) => self.failures.log(&error),
        }
    }

    /// Shows something about the application itself, in the place of the one before; whether that was done. A click on
    /// it opens the window.
    pub(super) async fn say(&mut self, text: &Text, lang: Lang) -> bool {
        let outcome = match &self.bus {
            Some(bus) => bus.say(text, lang, self.screen.id(&Key::Application)).await,
            None => Err(no_bus()),
        };
        match outcome {
            Ok(id) => {
                self.screen.shown(Key::Application, id, None, false);
                true
            }
            Err(error) => {
                self.failures.log(&error);
                false
            }
        }
    }

    /// Takes back what is shown about a device alone.
    pub(super) async fn close(&mut self, device: &DeviceId) {
        let Some(id) = self.screen.take(&Key::Device(device.clone())) else { return };
        let Some(bus) = &self.bus else { return };
        if let Err(error) = bus.call("CloseNotification", &id).await {
            tracing::debug!("a notification wasn't taken back: {error}");
        }
    }

    /// What follows is not in the place of the group that was shown.
    pub(super) fn forget_group(&mut self) {
        self.screen.forget_group();
    }

    /// The next click on one of this application's notifications. Without a bus there is none.
    pub(super) async fn clicked(&mut self) -> Click {
        loop {
            let Some(bus) = &mut self.bus else { return std::future::pending().await };
            match bus.signals.next().await {
                Some(Ok(message)) => {
                    if let Some(click) = read(&message).and_then(|it| self.screen.signal(&it)) {
                        return click;
                    }
                }
                Some(Err(error)) => tracing::debug!("a signal can't be read: {error}"),
                None => self.bus = None,
            }
        }
    }
}

impl Bus {
    async fn connect() -> zbus::Result<Self> {
        let connection = zbus::Connection::session().await?;
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(NAME)?
            .path(PATH)?
            .build();
        let signals = zbus::MessageStream::for_match_rule(rule, &connection, Some(SIGNALS)).await?;
        Ok(Self { connection, signals })
    }

    async fn show(&self, shown: &Shown, lang: Lang, screen: &Screen) -> zbus::Result<(u32, Text)> {
        let has_buttons = self.has_buttons().await?;
        let text = shown.text(lang, has_buttons);
        let id = self.notify(&text, lang, has_buttons, screen.id(&Key::of(shown))).await?;
        Ok((id, text))
    }

    async fn say(&self, text: &Text, lang: Lang, before: Option<u32>) -> zbus::Result<u32> {
        self.notify(text, lang, self.has_buttons().await?, before).await
    }

    async fn has_buttons(&self) -> zbus::Result<bool> {
        Ok(has(&capabilities(&self.connection).await?, "actions"))
    }

    async fn notify(
        &self,
        text: &Text,
        lang: Lang,
        has_buttons: bool,
        before: Option<u32>,
    ) -> zbus::Result<u32> {
        let mut actions = vec!["default", lang.pick("Open Wakeflash", "Wakeflash öffnen")];
        for button in &text.buttons {
            actions.extend([button.key(), button.label(lang)]);
        }
        if !has_buttons {
            actions.clear();
        }
        let hints = HashMap::from([
            ("desktop-entry", Value::from(DESKTOP_ENTRY)),
            ("category", Value::from("transfer")),
        ]);
        let replaces = before.unwrap_or(0);
        // -1: the daemon knows how long.
        let body = plain(&text.body);
        let arguments =
            (APP_NAME, replaces, ICON, text.title.as_str(), body, actions, hints, -1_i32);
        let reply = self.call("Notify", &arguments).await?;
        reply.body().deserialize()
    }

    async fn call<B>(&self, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        patiently(self.connection.call_method(Some(NAME), PATH, Some(NAME), method, body)).await
    }
}

fn no_bus() -> zbus::Error {
    zbus::Error::Failure("there is no session bus".to_owned())
}

fn is_failure(shown: &Shown) -> bool {
    use wakeflash_core::view::NotificationKind::{Failed, RolledBack};
    matches!(shown, Shown::One(told) if matches!(told.kind, Failed | RolledBack))
}

/// The body as it is meant: daemons read it as markup, and names of devices can hold anything.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn read(message: &zbus::Message) -> Option<Signal> {
    let body = message.body();
    match message.header().member()?.as_str() {
        "ActionInvoked" => {
            let (id, action) = body.deserialize::<(u32, String)>().ok()?;
            Some(Signal::Clicked(id, action))
        }
        "NotificationClosed" => {
            body.deserialize::<(u32, u32)>().ok().map(|(id, _)| Signal::Closed(id))
        }
        _ => None,
    }
}
