//! The desktop's own theme, as its portal tells it.

use anyhow::Result;
use zbus::zvariant::{OwnedValue, Value};

use super::bus::Bus;

const NAME: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const INTERFACE: &str = "org.freedesktop.portal.Settings";
/// What of it is asked for: a namespace and a key.
const COLOR_SCHEME: (&str, &str) = ("org.freedesktop.appearance", "color-scheme");

/// A portal that knows the theme only. It is gone from the bus when dropped.
pub struct Appearance {
    connection: zbus::Connection,
}

struct Portal;

#[zbus::interface(name = "org.freedesktop.portal.Settings")]
impl Portal {
    fn read(&self, namespace: &str, key: &str) -> zbus::fdo::Result<OwnedValue> {
        if (namespace, key) != COLOR_SCHEME {
            return Err(zbus::fdo::Error::Failed(format!("{namespace} {key} is unknown here")));
        }
        // The portal's answer is a variant in a variant.
        let unknown = |error| zbus::fdo::Error::Failed(format!("{error}"));
        Value::Value(Box::new(color_scheme(false))).try_into().map_err(unknown)
    }
}

impl Appearance {
    /// Puts the portal on a bus, with a light desktop.
    ///
    /// # Errors
    /// When the bus has one already.
    pub async fn start(bus: &Bus) -> Result<Self> {
        let connection = bus.connect().await?;
        connection.object_server().at(PATH, Portal).await?;
        connection.request_name(NAME).await?;
        Ok(Self { connection })
    }

    /// Does as if the user had chosen another theme for the desktop.
    ///
    /// # Errors
    /// When the bus is gone.
    pub async fn change(&self, dark: bool) -> Result<()> {
        let (namespace, key) = COLOR_SCHEME;
        let body = (namespace, key, color_scheme(dark));
        let to: Option<&str> = None;
        Ok(self.connection.emit_signal(to, PATH, INTERFACE, "SettingChanged", &body).await?)
    }
}

/// 1 prefers dark, 2 light.
fn color_scheme(dark: bool) -> Value<'static> {
    Value::U32(if dark { 1 } else { 2 })
}
