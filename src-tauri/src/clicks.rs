//! Clicks on notifications.
//!
//! `notify-rust` subscribes to a notification's signals after it is shown and so misses early ones. Here one
//! listener lives as long as the application, and remembers signals for numbers that it doesn't know yet.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use notify_rust::NotificationHandle;

/// How many notifications are remembered; older ones are hardly on the screen any more.
const REMEMBERED: usize = 32;

/// Something happened to a notification, of this application or of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It was clicked.
    Clicked(u32),
    /// It is gone.
    Closed(u32),
}

/// The notifications that are on the screen.
#[derive(Default)]
pub(crate) struct Clicks {
    // A handle holds the connection that the notification was sent over: some daemons take a notification
    // away when its sender is gone.
    shown: VecDeque<(u32, Option<NotificationHandle>)>,
    early: VecDeque<Signal>,
}

impl Clicks {
    /// Remembers a notification; true when it has been clicked already.
    pub(crate) fn shown(&mut self, handle: NotificationHandle) -> bool {
        self.remember(handle.id(), Some(handle))
    }

    fn remember(&mut self, id: u32, handle: Option<NotificationHandle>) -> bool {
        let clicked = self.early.contains(&Signal::Clicked(id));
        let closed = self.early.contains(&Signal::Closed(id));
        self.early.retain(|signal| !matches!(signal, Signal::Clicked(early) | Signal::Closed(early) if *early == id));
        if !closed {
            push(&mut self.shown, (id, handle));
        }
        clicked
    }

    /// Deals with a signal; true when it is a click on a notification of this application.
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        let (Signal::Clicked(id) | Signal::Closed(id)) = signal;
        let known = self.shown.iter().any(|(shown, _)| *shown == id);
        if !known {
            push(&mut self.early, signal);
            return false;
        }
        match signal {
            Signal::Clicked(_) => true,
            Signal::Closed(_) => {
                self.shown.retain(|(shown, _)| *shown != id);
                false
            }
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// The signals of the notification daemon.
pub(crate) struct Signals(BoxStream<'static, Signal>);

impl Signals {
    /// The next one. It never ends: without a bus there is none.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.0.next().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Subscribes to the clicks.
pub(crate) async fn listen() -> Signals {
    Signals(match subscribe().await {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("clicks on notifications won't open the window: {error}");
            futures_util::stream::pending().boxed()
        }
    })
}

async fn subscribe() -> zbus::Result<BoxStream<'static, Signal>> {
    let connection = zbus::Connection::session().await?;
    let rule = zbus::MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.freedesktop.Notifications")?
        .path("/org/freedesktop/Notifications")?
        .build();
    let stream = zbus::MessageStream::for_match_rule(rule, &connection, None).await?;
    Ok(stream.filter_map(|message| async move { read(&message.ok()?) }).boxed())
}

fn read(message: &zbus::Message) -> Option<Signal> {
    let body = message.body();
    match message.header().member()?.as_str() {
        "ActionInvoked" => {
            body.deserialize::<(u32, &str)>().ok().map(|(id, _)| Signal::Clicked(id))
        }
        "NotificationClosed" => {
            body.deserialize::<(u32, u32)>().ok().map(|(id, _)| Signal::Closed(id))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_counts_before_and_after_the_number_is_known() {
        let mut clicks = Clicks::default();
        assert!(!clicks.signal(Signal::Clicked(7)));
        assert!(clicks.remember(7, None));
        assert!(clicks.signal(Signal::Clicked(7)));
    }

    #[test]
    fn clicks_on_others_and_on_closed_ones_do_not_count() {
        let mut clicks = Clicks::default();
        assert!(!clicks.remember(7, None));
        assert!(!clicks.signal(Signal::Clicked(8)));
        assert!(!clicks.signal(Signal::Closed(7)));
        assert!(!clicks.signal(Signal::Clicked(7)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut clicks = Clicks::default();
        for id in 0..1000 {
            clicks.remember(id, None);
            clicks.signal(Signal::Clicked(100_000 + id));
        }
        assert_eq!((clicks.shown.len(), clicks.early.len()), (REMEMBERED, REMEMBERED));
    }
}
