//! The real application, driven through its window, its tray and its notifications.

mod many;
mod notifications;
mod process;
mod shell;
mod story;
