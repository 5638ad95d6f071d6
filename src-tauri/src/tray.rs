//! tray
/// Tray.
#[derive(Debug)]
pub struct Tray;
impl Tray {
    /// v
    pub fn visible(&self) -> bool {
        false
    }
}
