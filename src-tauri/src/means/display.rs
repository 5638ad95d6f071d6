//! Whether there is a display for a window.

/// Tauri panics without one.
///
/// # Errors
/// There is none.
#[cfg(target_os = "linux")]
pub(crate) fn check() -> anyhow::Result<()> {
    gtk::init().map_err(|_| {
        anyhow::anyhow!("there is no display for a window; wakeflash-headless works without one")
    })
}

/// Others have one whenever somebody is logged in.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Linux")]
pub(crate) fn check() -> anyhow::Result<()> {
    Ok(())
}
