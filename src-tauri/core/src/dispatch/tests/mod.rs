//! Tests of the queue. [`lab`] has the words that the stories are told in.

mod boards;
mod breaks;
mod builds;
mod bulk;
mod confirming;
mod directory;
mod durable;
mod elsewhere;
mod flashes;
mod invariants;
mod job;
mod lab;
mod names;
mod pace;
mod presence;
mod properties;
mod rollback;
mod rows;
mod sleeper;
mod sources;
mod storm;
mod strangers;
mod table;
mod told;
mod user;
mod wakes;
