//! Quitting in the tray's menu. While devices are being flashed the user is asked, once; the window's keeper knows
//! whether they are.

use tauri::{AppHandle, Manager};
use wakeflash_core::view::{Snapshot, UpdateStateView};
use wakeflash_engine::handle::Handle;

use crate::messages::events::QuitRequested;
use crate::messages::state::AppState;
use crate::messages::window::Message;

/// Ends the application, or asks in the window while something is being flashed.
pub(crate) async fn weigh(app: AppHandle, engine: Handle) {
    // What works elsewhere goes on.
    let here = |snapshot: &Snapshot| snapshot.status.place.is_none();
    let snapshot = engine.snapshot().await.ok().filter(here);
    let flashing = snapshot.map_or(0, |snapshot| transfers(&snapshot));
    if flashing == 0 {
        return app.exit(0);
    }
    app.state::<AppState>().window.tell(Message::Quit(QuitRequested { flashing }));
}

/// How many transfers run.
fn transfers(snapshot: &Snapshot) -> u32 {
    let flashes = snapshot.devices.iter().filter(|device| {
        let state = device.update.as_ref().map(|update| &update.state);
        matches!(state, Some(UpdateStateView::Flashing { .. }))
    });
    u32::try_from(flashes.count()).unwrap_or(u32::MAX)
}
