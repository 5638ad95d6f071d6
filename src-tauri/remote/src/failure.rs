//! What went wrong, in words, from what SSH says and how it ended.

use wakeflash_core::error::Problem;
use wakeflash_core::request::{Greeting, PROTOCOL};

use crate::place::Destination;

/// How SSH ends when it is SSH that has failed.
const BY_SSH: i32 = 255;
/// How the shell there ends when there is no such program.
const NOT_FOUND: i32 = 127;
/// How `wakeflash-headless attach` ends when no service runs.
const NO_SERVICE: i32 = 3;

/// What a connection ended with.
pub(crate) fn ended(place: &Destination, code: Option<i32>, said: &str) -> Problem {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let problem = match code {
        Some(BY_SSH) => by_ssh(place, said),
        Some(NOT_FOUND) => Problem::new(
            "remote.not_installed",
            format!("There is no wakeflash-headless on {place}."),
        )
        .with_help("Install its package there (docs/HEADLESS.md), so that it is on the PATH of your login."),
        Some(NO_SERVICE) => {
            Problem::new("remote.no_service", format!("Wakeflash doesn't run on {place}."))
                .with_help("Start its service there.")
        }
        Some(_) | None => cut(place),
    };
    if last.is_empty() { problem } else { problem.with_details(last) }
}

fn by_ssh(place: &Destination, said: &str) -> Problem {
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        return Problem::new(
            "remote.host_key_changed",
            format!("{place} shows another host key than the one that this computer knows."),
        )
        .with_help(
            "Somebody may stand between, or it was set up anew. If you know why, take the old key away with ssh-keygen \
             -R, and try again.",
        );
    }
    if has(&["Host key verification failed", "host key is known for"]) {
        return Problem::new(
            "remote.host_key_unknown",
            format!("This computer doesn't know the host key of {place} yet."),
        )
        .with_help("Compare its fingerprint with the one that the box itself shows (ssh-keygen -lf), then accept it.");
    }
    if has(&[
        "Permission denied",
        "Too many authentication failures",
        "No supported authentication",
    ]) {
        return Problem::new("remote.key_refused", format!("{place} refuses your key."))
            .with_help(
                "Put your public key there with ssh-copy-id. A key with a passphrase has to be in your agent (ssh-add): \
                 Wakeflash asks for no password.",
            );
    }
    if has(&["Could not resolve hostname"]) {
        return Problem::new(
            "remote.no_host",
            format!("There is no computer of the name {place}."),
        )
        .with_help("Check how it is spelled.");
    }
    if has(&["Connection refused"]) {
        return Problem::new("remote.no_ssh_there", format!("No SSH answers on {place}."))
            .with_help("Install openssh-server there, or check the port in ~/.ssh/config.");
    }
    if has(&["timed out", "No route to host", "unreachable", "not responding"]) {
        return Problem::new("remote.unreachable", format!("{place} can't be reached.")).with_help(
            "Check that it is on, and that this computer is in a network from where it is reached.",
        );
    }
    cut(place)
}

/// It was there, and is gone.
pub(crate) fn cut(place: &Destination) -> Problem {
    Problem::new("remote.cut", format!("The connection to {place} has ended."))
}

pub(crate) fn silent(place: &Destination) -> Problem {
    Problem::new("remote.silent", format!("{place} doesn't answer."))
}

/// What it says is nothing that Wakeflash says.
pub(crate) fn garbage(place: &Destination, why: impl Into<String>) -> Problem {
    Problem::new(
        "remote.garbage",
        format!("{place} says something that isn't Wakeflash's protocol."),
    )
    .with_help(
        "A login there must print nothing when it isn't interactive; look into its ~/.bashrc.",
    )
    .with_details(why)
}

/// Whether both speak the same protocol.
pub(crate) fn version(place: &Destination, theirs: &Greeting) -> Result<(), Problem> {
    if theirs.hello == "wakeflash" && theirs.protocol == PROTOCOL {
        return Ok(());
    }
    let own = Greeting::own();
    Err(Problem::new(
        "remote.version",
        format!(
            "On {place} runs Wakeflash {}, which speaks version {} of its protocol; this is Wakeflash {}, which speaks \
             version {}.",
            short(&theirs.version),
            theirs.protocol,
            own.version,
            own.protocol
        ),
    )
    .with_help("Install the same version of Wakeflash at both ends."))
}

/// SSH itself can't be started.
pub(crate) fn no_ssh(error: &std::io::Error) -> Problem {
    Problem::new("remote.no_ssh", format!("SSH can't be started on this computer: {error}."))
        .with_help("Install OpenSSH's client.")
}

/// There is no connection: nothing can be asked.
pub(crate) fn away(place: &Destination) -> Problem {
    Problem::new("remote.away", format!("There is no connection to {place}.")).with_help(
        "Nothing was done. It is connected again by itself as soon as it can be reached.",
    )
}

/// The connection ended before the answer came.
pub(crate) fn unanswered(place: &Destination) -> Problem {
    Problem::new("remote.unanswered", format!("The connection to {place} ended before its answer came."))
        .with_help("What you asked for may have been done all the same: look at the list before you do it again.")
}

/// What is a file of the other computer is none of this one.
#[must_use]
pub fn not_here(place: &str) -> Problem {
    Problem::new("remote.files", format!("Its files are on {place}, not on this computer."))
        .with_help("Open them there.")
}

fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_can_be_wrong_has_a_sentence_of_its_own() {
        let place = Destination::try_from("sam@box".to_owned()).unwrap();
        for (code, said, wanted) in [
            (
                255,
                "ssh: Could not resolve hostname box: Name or service not known\n",
                "remote.no_host",
            ),
            (255, "ssh: connect to host box port 22: Connection refused\n", "remote.no_ssh_there"),
            (255, "ssh: connect to host box port 22: Connection timed out\n", "remote.unreachable"),
            (255, "ssh: connect to host box port 22: No route to host\n", "remote.unreachable"),
            (255, "Timeout, server box not responding.\n", "remote.unreachable"),
            (255, "sam@box: Permission denied (publickey).\n", "remote.key_refused"),
            (
                255,
                "No ED25519 host key is known for box and you have requested strict checking.\nHost key verification \
                 failed.\n",
                "remote.host_key_unknown",
            ),
            (
                255,
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n",
                "remote.host_key_changed",
            ),
            (127, "bash: line 1: wakeflash-headless: command not found\n", "remote.not_installed"),
            (3, "wakeflash-headless: No service runs for /x.\n", "remote.no_service"),
            (255, "client_loop: send disconnect: Broken pipe\n", "remote.cut"),
            (0, "", "remote.cut"),
        ] {
            assert_eq!(ended(&place, Some(code), said).code, wanted, "{said}");
        }
        assert_eq!(ended(&place, None, "").code, "remote.cut");
        let theirs = Greeting { protocol: PROTOCOL + 1, ..Greeting::own() };
        assert_eq!(version(&place, &theirs).unwrap_err().code, "remote.version");
    }
}
