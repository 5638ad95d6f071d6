//! Standard input and output, connected to the service: what runs at the other end of an SSH.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::ask::connect;
use crate::failure::Failure;

/// Passes both directions on until the service closes; the end of the input is passed on as well.
pub(crate) fn attach(state: &Path) -> Result<(), Failure> {
    let socket = connect(state)?;
    let towards = socket.try_clone().context("the connection can't be used")?;
    let input_ended = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&input_ended);
    // It is left behind when the service closes: reading standard input can't be ended.
    std::thread::spawn(move || {
        let copied = pass_on(io::stdin().lock(), &towards);
        // A service that has gone is noticed where it is read.
        said.store(copied.is_ok(), Ordering::Release);
        let _ = towards.shutdown(Shutdown::Write);
    });
    let closed = || Failure::NoService("The service has closed the connection.".to_owned());
    match pass_on(&socket, io::stdout().lock()) {
        Ok(()) => {}
        Err(Passing::From(error)) if error.kind() == ErrorKind::ConnectionReset => {
            return Err(closed());
        }
        Err(Passing::From(error)) => {
            return Err(Failure::Refused(format!("The service can't be read: {error}.")));
        }
        Err(Passing::To(error)) => {
            return Err(Failure::Refused(format!("Standard output can't be written: {error}.")));
        }
    }
    if input_ended.load(Ordering::Acquire) { Ok(()) } else { Err(closed()) }
}

/// Which side failed.
enum Passing {
    From(io::Error),
    To(io::Error),
}

/// Passes on what comes, as soon as it comes. Not by `io::copy`: for a pipe that asks Linux to splice, which locks the
/// pipe for as long as it waits for the socket, so that nobody can read what is in it already.
fn pass_on(mut from: impl Read, mut to: impl Write) -> Result<(), Passing> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let piece = piece.get(..count).unwrap_or_default();
                to.write_all(piece).and_then(|()| to.flush()).map_err(Passing::To)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Passing::From(error)),
        }
    }
}
