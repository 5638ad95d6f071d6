//! An engine on another computer, through the user's own SSH, as if it were here: whoever shows it gets a
//! [`Handle`](wakeflash_engine::handle::Handle) like that of an engine in the same process.

mod course;
mod failure;
mod host_key;
mod keeper;
mod known;
mod place;
mod ssh;
mod talk;

pub use failure::not_here;
pub use host_key::{HostKey, trust};
pub use keeper::{Remote, Watcher};
pub use place::{Destination, Places};
pub use ssh::{Ssh, Trial, start_service, try_out};
