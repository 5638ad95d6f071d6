//! The two pipes to the application. They come as standard input and output, and are moved away from there: no
//! library writes between the lines, and no process of the web view keeps them open.

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::fs::{FileType, Mode, OFlags, fstat, open};
    use rustix::io::fcntl_dupfd_cloexec;
    use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    use tokio::net::unix::pipe::{Receiver, Sender};

    /// The pipes, not yet used.
    pub(crate) struct Pipes {
        input: OwnedFd,
        output: OwnedFd,
    }

    impl Pipes {
        /// Takes standard input and output; both are something harmless then.
        ///
        /// # Errors
        /// They are no pipes: somebody else than the application started this.
        pub(crate) fn take() -> io::Result<Self> {
            if !is_pipe(stdin())? || !is_pipe(stdout())? {
                return Err(io::Error::other("the option --window is for Wakeflash's own use"));
            }
            let pipes = Self {
                input: fcntl_dupfd_cloexec(stdin(), 3)?,
                output: fcntl_dupfd_cloexec(stdout(), 3)?,
            };
            dup2_stdin(open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
            dup2_stdout(stderr())?;
            Ok(pipes)
        }

        /// Ready to be read and written, by the runtime that this is called in.
        pub(crate) fn open(self) -> io::Result<(Receiver, Sender)> {
            Ok((Receiver::from_owned_fd(self.input)?, Sender::from_owned_fd(self.output)?))
        }
    }

    fn is_pipe(file: impl AsFd) -> io::Result<bool> {
        Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Fifo)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_pipes_are_pipes() {
            let (reader, writer) = io::pipe().unwrap();
            assert!(is_pipe(reader).unwrap() && is_pipe(writer).unwrap());
            let null = open("/dev/null", OFlags::RDWR, Mode::empty()).unwrap();
            assert!(!is_pipe(null).unwrap());
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    use tokio::io::{Stdin, Stdout, stdin, stdout};

    /// The pipes, not yet used.
    pub(crate) struct Pipes;

    impl Pipes {
        /// They stay what they are.
        pub(crate) fn take() -> io::Result<Self> {
            Ok(Self)
        }

        /// Ready to be read and written.
        pub(crate) fn open(self) -> io::Result<(Stdin, Stdout)> {
            Ok((stdin(), stdout()))
        }
    }
}

#[cfg(not(unix))]
pub(crate) use other::Pipes;
#[cfg(unix)]
pub(crate) use unix::Pipes;
