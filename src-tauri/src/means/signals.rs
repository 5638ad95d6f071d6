//! The signals that end the application.

use tauri::AppHandle;

/// Ends the application at the first signal in good order, at the second one at once.
#[cfg(unix)]
pub(crate) async fn follow(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [terminate, interrupt, hangup] = kinds.map(signal);
    let (mut terminate, mut interrupt, mut hangup) = match (terminate, interrupt, hangup) {
        (Ok(terminate), Ok(interrupt), Ok(hangup)) => (terminate, interrupt, hangup),
        (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
            return tracing::error!("signals won't end the application in good order: {error}");
        }
    };
    for asked in 0_u32.. {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        if asked > 0 {
            tracing::warn!("ended at once by a second signal");
            std::process::exit(1);
        }
        tracing::info!("ended by a signal");
        app.exit(0);
    }
}

/// Other systems close the window's session instead.
#[cfg(not(unix))]
pub(crate) async fn follow(_app: AppHandle) {}
