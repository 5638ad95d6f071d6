//! paths
use std::path::{Path, PathBuf};
/// Paths.
pub struct Paths {
    state: PathBuf,
}
impl Paths {
    /// l
    pub fn log_dir(&self) -> &Path {
        &self.state
    }
}
