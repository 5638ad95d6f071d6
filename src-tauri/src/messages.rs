//! What the parts say to each other, and what all of them know.

pub(crate) mod events;
pub(crate) mod notifier;
pub(crate) mod state;
pub(crate) mod window;
pub(crate) mod wire;
