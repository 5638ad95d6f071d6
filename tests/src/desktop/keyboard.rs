//! Keys for windows that aren't pages, such as the desktop's own dialogs.

use anyhow::{Context, Result, bail};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ConnectionExt as _, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, Keysym,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::display::{Display, TopLevel};

const SHIFT: Keysym = 0xffe1;
const CONTROL: Keysym = 0xffe3;
/// The Return key.
pub const RETURN: Keysym = 0xff0d;

/// A keyboard, as if somebody sat at it.
pub struct Keyboard {
    connection: RustConnection,
    /// The keysyms of each keycode, from the first one on: without Shift, with Shift, and others.
    keys: Vec<Vec<Keysym>>,
    first: Keycode,
}

impl Display {
    /// A keyboard whose keys go to a window.
    ///
    /// # Errors
    /// When the window is gone, or the X server takes no keys from programs.
    pub fn keyboard_of(&self, window: &TopLevel) -> Result<Keyboard> {
        let (connection, _) = x11rb::connect(Some(self.name()))?;
        let setup = connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let count = last.saturating_sub(first).saturating_add(1);
        let mapping = connection.get_keyboard_mapping(first, count)?.reply()?;
        let each = usize::from(mapping.keysyms_per_keycode).max(1);
        let keys = mapping.keysyms.chunks(each).map(<[Keysym]>::to_vec).collect();
        // There is no window manager that would give it the focus.
        connection
            .set_input_focus(InputFocus::PARENT, window.id, x11rb::CURRENT_TIME)?
            .check()
            .context("the window takes no focus")?;
        Ok(Keyboard { connection, keys, first })
    }
}

impl Keyboard {
    /// Types a text of ASCII instead of what is in the field with the focus.
    ///
    /// # Errors
    /// When there is no key for it.
    pub fn fill(&self, text: &str) -> Result<()> {
        self.chord(CONTROL, Keysym::from(b'a'))?;
        text.bytes().try_for_each(|byte| self.press(Keysym::from(byte)))
    }

    /// Presses and releases a key, with Shift where it needs that.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn press(&self, key: Keysym) -> Result<()> {
        let (code, shifted) = self.key(key)?;
        if shifted { self.chord(SHIFT, key) } else { self.strike(code) }
    }

    fn chord(&self, held: Keysym, key: Keysym) -> Result<()> {
        let (held, _) = self.key(held)?;
        self.send(KEY_PRESS_EVENT, held)?;
        self.strike(self.key(key)?.0)?;
        self.send(KEY_RELEASE_EVENT, held)
    }

    fn strike(&self, key: Keycode) -> Result<()> {
        self.send(KEY_PRESS_EVENT, key)?;
        self.send(KEY_RELEASE_EVENT, key)
    }

    fn send(&self, what: u8, key: Keycode) -> Result<()> {
        let (now, anywhere) = (x11rb::CURRENT_TIME, x11rb::NONE);
        self.connection.xtest_fake_input(what, key, now, anywhere, 0, 0, 0)?.check()?;
        Ok(())
    }

    /// The key that gives a keysym, and whether with Shift.
    fn key(&self, wanted: Keysym) -> Result<(Keycode, bool)> {
        let at =
            |level: usize| self.keys.iter().position(|keysyms| keysyms.get(level) == Some(&wanted));
        let (index, shifted) = match (at(0), at(1)) {
            (Some(index), _) => (index, false),
            (None, Some(index)) => (index, true),
            (None, None) => bail!("no key gives {wanted:#x}"),
        };
        let code = usize::from(self.first).saturating_add(index);
        Ok((Keycode::try_from(code)?, shifted))
    }
}
