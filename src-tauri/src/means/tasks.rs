//! The shell's own tasks: each is cancelled and awaited before the application ends.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the tasks have to end.
const LIMIT: Duration = Duration::from_secs(2);

/// The shell's own tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// Runs a task until it ends or the application does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancelled = self.cancel.clone().cancelled_owned();
        let task = async move {
            tokio::select! {
                () = cancelled => {}
                () = task => {}
            }
        };
        self.tracker.spawn_on(task, tauri::async_runtime::handle().inner());
    }

    /// Ends all tasks.
    pub(crate) async fn end(&self) {
        self.cancel.cancel();
        self.tracker.close();
        if tokio::time::timeout(LIMIT, self.tracker.wait()).await.is_err() {
            tracing::error!("{} tasks of the shell didn't end in time", self.tracker.len());
        }
    }
}
