//! The place where tray icons are shown: what they show, and their menus.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Structure, Value};

use super::bus::Bus;
use super::until;

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";
const ITEM: &str = "org.kde.StatusNotifierItem";
/// What libdbusmenu says of the number of a line in a menu that has been replaced.
const NO_SUCH_LINE: &str = "does not refer to a menu item";
/// How long the application may take to make its menu.
const SOON: Duration = Duration::from_secs(90);
/// How often a click is tried.
const CLICKS: usize = 10;
const MENU: &str = "com.canonical.dbusmenu";

/// Where an icon can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    bus_name: String,
    path: String,
}

/// The tray. It is gone from the bus when dropped.
pub struct Tray {
    connection: zbus::Connection,
    items: watch::Receiver<Vec<Item>>,
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuLine {
    /// Its number, which changes with each menu.
    id: i32,
    pub label: String,
    /// Whether it can be clicked.
    pub enabled: bool,
}

/// A menu's root: number, properties, children.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

struct Watcher {
    items: watch::Sender<Vec<Item>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    async fn register_status_notifier_item(
        &self,
        service: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &zbus::Connection,
    ) -> zbus::fdo::Result<()> {
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        // Some name the object and some the bus name; see the specification's history.
        let item = if service.starts_with('/') {
            Item { bus_name: sender, path: service.to_owned() }
        } else {
            Item { bus_name: service.to_owned(), path: "/StatusNotifierItem".to_owned() }
        };
        self.items.send_modify(|items| items.push(item));
        let signal = "StatusNotifierItemRegistered";
        Ok(connection.emit_signal(None::<&str>, WATCHER_PATH, WATCHER, signal, &service).await?)
    }

    #[allow(clippy::unused_self)]
    fn register_status_notifier_host(&self, _service: &str) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        let items = self.items.borrow();
        items.iter().map(|item| format!("{}{}", item.bus_name, item.path)).collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

impl Tray {
    /// Puts a tray on a bus.
    ///
    /// # Errors
    /// When the bus has one already.
    pub async fn start(bus: &Bus) -> Result<Self> {
        let (sender, items) = watch::channel(Vec::new());
        let connection = bus.connect().await?;
        connection.object_server().at(WATCHER_PATH, Watcher { items: sender }).await?;
        connection.request_name(WATCHER).await?;
        Ok(Self { connection, items })
    }

    /// What the icon's property says. `Title`, `IconName`, `XAyatanaLabel`.
    ///
    /// # Errors
    /// When there is no icon, or it doesn't answer.
    pub async fn property(&self, name: &str) -> Result<String> {
        let value = self.get(name).await?;
        value.try_into().with_context(|| format!("{name} is no text"))
    }

    /// Waits until the label beside the icon, or its title, contains a text.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn until_says(&self, text: &str, timeout: Duration) -> Result<()> {
        until(&format!("the tray says {text:?}"), timeout, async || {
            let (label, title) = (self.property("XAyatanaLabel"), self.property("Title"));
            let said = format!("{} {}", label.await?, title.await.unwrap_or_default());
            ensure!(said.contains(text), "it says {said:?}");
            Ok(())
        })
        .await
    }

    /// Waits until there is an icon with a menu.
    ///
    /// # Errors
    /// When there is none within `timeout`.
    pub async fn until_there(&self, timeout: Duration) -> Result<Vec<MenuLine>> {
        until("a tray icon with a menu", timeout, async || {
            let menu = self.menu().await?;
            ensure!(!menu.is_empty(), "its menu is empty");
            Ok(menu)
        })
        .await
    }

    /// The lines of the menu, separators left out.
    ///
    /// # Errors
    /// When there is no icon, or it doesn't answer.
    pub async fn menu(&self) -> Result<Vec<MenuLine>> {
        let properties: [&str; 0] = [];
        let reply = self.menu_call("GetLayout", &(0_i32, -1_i32, &properties[..])).await?;
        let (_revision, (_id, _properties, children)): (u32, Layout) =
            reply.body().deserialize()?;
        let lines = children.into_iter().map(menu_line).collect::<Result<Vec<_>>>()?;
        Ok(lines.into_iter().flatten().collect())
    }

    /// Clicks a line of the menu.
    ///
    /// # Errors
    /// When there is none with this label in time.
    pub async fn click(&self, label: &str) -> Result<()> {
        // Another menu may take the place of the one that was looked at: nobody has heard the click then.
        for _ in 0..CLICKS {
            let line = until(&format!("a line {label:?} in the menu"), SOON, async || {
                let menu = self.menu().await?;
                let line = menu.iter().find(|line| line.label == label).cloned();
                line.with_context(|| format!("menu: {menu:?}"))
            })
            .await?;
            let nothing = Value::from(0_i32);
            let clicked = self.menu_call("Event", &(line.id, "clicked", nothing, 0_u32)).await;
            match clicked {
                Err(error) if format!("{error:#}").contains(NO_SUCH_LINE) => {}
                clicked => return clicked.map(|_| ()),
            }
        }
        bail!("the menu changes all the time")
    }

    async fn menu_call<B>(&self, method: &str, body: &B) -> Result<zbus::Message>
    where
        B: serde::Serialize + DynamicType,
    {
        let path: OwnedObjectPath = self.get("Menu").await?.try_into()?;
        let item = self.item()?;
        let to = Some(item.bus_name.as_str());
        let reply = self.connection.call_method(to, path.as_str(), Some(MENU), method, body).await;
        reply.with_context(|| format!("the menu doesn't answer to {method}"))
    }

    async fn get(&self, name: &str) -> Result<OwnedValue> {
        let item = self.item()?;
        let to = Some(item.bus_name.as_str());
        let interface = Some("org.freedesktop.DBus.Properties");
        let body = &(ITEM, name);
        let call = self.connection.call_method(to, item.path.as_str(), interface, "Get", body);
        let reply = call.await.with_context(|| format!("the icon doesn't tell its {name}"))?;
        Ok(reply.body().deserialize()?)
    }

    /// The icon that came last.
    fn item(&self) -> Result<Item> {
        self.items.borrow().last().cloned().context("there is no tray icon")
    }
}

/// A line, or none when it is a separator or hidden.
fn menu_line(child: OwnedValue) -> Result<Option<MenuLine>> {
    let child: Structure<'static> = child.try_into()?;
    let mut fields = child.into_fields().into_iter();
    let (id, properties) = (fields.next(), fields.next());
    let id = i32::try_from(id.context("a line without a number")?)?;
    let properties: HashMap<String, OwnedValue> =
        properties.context("a line without properties")?.try_into()?;
    let flag = |name: &str| properties.get(name).and_then(|value| bool::try_from(value).ok());
    let label = properties.get("label").and_then(|label| String::try_from(label.clone()).ok());
    Ok(label.filter(|_| flag("visible") != Some(false)).map(|label| MenuLine {
        id,
        // A single underscore marks the shortcut's letter.
        label: label.replace("__", "\0").replace('_', "").replace('\0', "_"),
        enabled: flag("enabled") != Some(false),
    }))
}
