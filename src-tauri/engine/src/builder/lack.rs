//! Which failures of our own work on files may pass by themselves.

use std::io::{self, ErrorKind};

use wakeflash_core::build_failure::{BuildFailure, Lack};
use wakeflash_core::error::Problem;

/// What the system has too little of; `None`: the error is about something else.
pub(super) fn of_error(error: &io::Error) -> Option<Lack> {
    let kind = error.kind();
    if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return Some(Lack::Disk);
    }
    // What the system can't give to a new process comes as one that would block.
    let memory = matches!(kind, ErrorKind::OutOfMemory | ErrorKind::WouldBlock);
    (memory || too_many_files(error)).then_some(Lack::Memory)
}

#[cfg(unix)]
fn too_many_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|limit| errno == Some(limit.raw_os_error()))
}

#[cfg(not(unix))]
fn too_many_files(_error: &io::Error) -> bool {
    false
}

/// The failure that a problem with files makes of a build.
pub(super) fn failure(problem: Problem) -> BuildFailure {
    let lack = match problem.code.as_str() {
        "artifact.no_space" | "artifact.write" | "build.reads_unkept" => Lack::Disk,
        // Neither missing nor forbidden: its file system has a fault.
        "config.unreadable" | "build.unreadable" => Lack::Directory,
        _ => return problem.into(),
    };
    BuildFailure::again(lack, problem)
}

#[cfg(test)]
mod tests {
    use wakeflash_core::build_failure::BuildFailureClass;

    use super::*;

    #[test]
    fn what_the_system_lacks_is_told_from_everything_else() {
        let of = |errno: i32| of_error(&io::Error::from_raw_os_error(errno));
        #[cfg(target_os = "linux")]
        {
            use rustix::io::Errno;
            for (errno, lack) in [
                (Errno::NOSPC, Some(Lack::Disk)),
                (Errno::DQUOT, Some(Lack::Disk)),
                (Errno::NOMEM, Some(Lack::Memory)),
                (Errno::AGAIN, Some(Lack::Memory)),
                (Errno::MFILE, Some(Lack::Memory)),
                (Errno::NFILE, Some(Lack::Memory)),
                (Errno::NOENT, None),
                (Errno::ACCESS, None),
                (Errno::TXTBSY, None),
                (Errno::IO, None),
            ] {
                assert_eq!(of(errno.raw_os_error()), lack, "{errno:?}");
            }
        }
        let class = |code: &str| failure(Problem::new(code, "No.")).class;
        assert_eq!(class("artifact.no_space"), BuildFailureClass::Again(Lack::Disk));
        assert_eq!(class("build.reads_unkept"), BuildFailureClass::Again(Lack::Disk));
        assert_eq!(class("build.unreadable"), BuildFailureClass::Again(Lack::Directory));
        assert_eq!(class("config.unreadable"), BuildFailureClass::Again(Lack::Directory));
        assert_eq!(class("config.missing"), BuildFailureClass::Final);
    }
}
