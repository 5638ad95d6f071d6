//! Tests of the queue. [`lab`] has the words that the stories are told in.

mod builds;
mod confirming;
mod durable;
mod flashes;
mod job;
mod lab;
mod presence;
mod rows;
mod sources;
mod user;
