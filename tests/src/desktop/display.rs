//! An X server without a screen, and the windows on it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat, MapState,
    Window,
};
use x11rb::rust_connection::RustConnection;

use crate::paths::{contained, on_path};

const SCREEN: &str = "1280x800x24";
const START: Duration = Duration::from_secs(60);

/// An X server. It ends when dropped.
pub struct Display {
    name: String,
    _server: Child,
}

/// A window of an application: what a window manager would frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopLevel {
    pub id: Window,
    pub title: String,
}

impl Display {
    /// Starts an X server under a free number.
    ///
    /// # Errors
    /// When Xvfb is missing or doesn't start.
    pub async fn start() -> Result<Self> {
        let mut command = contained(on_path("Xvfb")?);
        // Of the display's number nothing is known before the server has found a free one.
        command.args(["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().context("cannot start Xvfb")?;
        let mut lines = BufReader::new(server.stdout.take().context("no stdout")?).lines();
        let number = tokio::time::timeout(START, lines.next_line()).await;
        let number = number.context("Xvfb doesn't start")??.context("Xvfb ended at once")?;
        Ok(Self { name: format!(":{}", number.trim()), _server: server })
    }

    /// What DISPLAY is for its clients.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The windows that can be seen.
    ///
    /// # Errors
    /// When the X server doesn't answer.
    pub fn windows(&self) -> Result<Vec<TopLevel>> {
        Screen::open(&self.name)?.windows()
    }

    /// Asks the windows of a title to close, as their frame's button does.
    ///
    /// # Errors
    /// When there is none.
    pub fn close(&self, title: &str) -> Result<()> {
        let screen = Screen::open(&self.name)?;
        let windows = screen.windows()?;
        let mut found = windows.iter().filter(|window| window.title == title).peekable();
        if found.peek().is_none() {
            bail!("no window is called {title:?}: {windows:?}");
        }
        found.try_for_each(|window| screen.ask_to_close(window.id))
    }

    /// The pixels of the middle of a window, as the X server has them; `None` while it isn't shown.
    ///
    /// # Errors
    /// When the X server doesn't answer.
    pub fn pixels(&self, title: &str) -> Result<Option<Vec<u8>>> {
        let screen = Screen::open(&self.name)?;
        let windows = screen.windows()?;
        let Some(window) = windows.iter().find(|window| window.title == title) else {
            return Ok(None);
        };
        screen.middle(window.id).map(Some)
    }

    /// Writes a picture of a window, or of the whole screen.
    ///
    /// # Errors
    /// When ImageMagick is missing or the file can't be written.
    pub async fn picture(&self, of: Option<&TopLevel>, file: &Path) -> Result<()> {
        let window = of.map_or_else(|| "root".to_owned(), |window| window.id.to_string());
        let mut command = Command::new(on_path("import")?);
        command.args(["-display", &self.name, "-window", &window]).arg(file).kill_on_drop(true);
        let output = command.output().await?;
        if !output.status.success() {
            bail!("import: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A connection to the X server.
struct Screen {
    connection: RustConnection,
    root: Window,
    protocols: Atom,
    delete: Atom,
    title: Atom,
}

impl Screen {
    fn open(display: &str) -> Result<Self> {
        let (connection, number) = x11rb::connect(Some(display))?;
        let root = connection.setup().roots.get(number).context("no screen")?.root;
        let atom = |name: &[u8]| -> Result<Atom> {
            Ok(connection.intern_atom(false, name)?.reply()?.atom)
        };
        let protocols = atom(b"WM_PROTOCOLS")?;
        let (delete, title) = (atom(b"WM_DELETE_WINDOW")?, atom(b"_NET_WM_NAME")?);
        Ok(Self { connection, root, protocols, delete, title })
    }

    /// Without a window manager, the windows of applications are the children of the root.
    fn windows(&self) -> Result<Vec<TopLevel>> {
        let mut found = Vec::new();
        for id in self.connection.query_tree(self.root)?.reply()?.children {
            // A window can vanish between two questions.
            if let Ok(Some(title)) = self.title_of(id) {
                found.push(TopLevel { id, title });
            }
        }
        Ok(found)
    }

    fn title_of(&self, window: Window) -> Result<Option<String>> {
        let attributes = self.connection.get_window_attributes(window)?.reply()?;
        let protocols = self.property(window, self.protocols)?;
        let seen = attributes.map_state == MapState::VIEWABLE && !protocols.is_empty();
        let title = self.property(window, self.title)?;
        Ok(seen.then(|| String::from_utf8_lossy(&title).into_owned()))
    }

    fn property(&self, window: Window, property: Atom) -> Result<Vec<u8>> {
        let asked = self.connection.get_property(
            false,
            window,
            property,
            Atom::from(AtomEnum::ANY),
            0,
            1024,
        )?;
        Ok(asked.reply()?.value)
    }

    fn middle(&self, window: Window) -> Result<Vec<u8>> {
        let size = self.connection.get_geometry(window)?.reply()?;
        let (width, height) = (size.width / 2, size.height / 2);
        let (x, y) = (i16::try_from(width / 2)?, i16::try_from(height / 2)?);
        let asked = self.connection.get_image(
            ImageFormat::Z_PIXMAP,
            window,
            x,
            y,
            width,
            height,
            u32::MAX,
        )?;
        Ok(asked.reply()?.data)
    }

    fn ask_to_close(&self, window: Window) -> Result<()> {
        let data = [self.delete, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, self.protocols, data);
        self.connection.send_event(false, window, EventMask::NO_EVENT, message)?.check()?;
        Ok(())
    }
}
