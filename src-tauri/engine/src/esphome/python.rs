//! The Python that an `esphome` program runs in, and the program of our own that runs ESPHome in it and sees what it
//! reads.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::is_executable;

/// It is given to Python as an argument, so that nothing has to lie anywhere: its parts one after the other.
pub const WITNESS: &str = concat!(
    include_str!("witness/reads.py"),
    "\n\n",
    include_str!("witness/answer.py"),
    "\n\n",
    include_str!("witness/serve.py"),
);

/// The Python that runs an `esphome` program; `None`: it is no Python script, so that only its command line is known.
pub(crate) fn of(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(1 << 10).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    let is_python = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with("python") && path.is_absolute() && is_executable(path)
    };
    let direct = PathBuf::from(first);
    if is_python(&direct) {
        return Some(direct);
    }
    match first.split_once(' ') {
        Some(("/usr/bin/env", name)) => super::on_path(name.trim()).find(|path| is_python(path)),
        Some((path, _options)) => Some(PathBuf::from(path)).filter(|path| is_python(path)),
        // What pip writes where the path is long or has a space in it.
        None => {
            let exec = lines.next()?.strip_prefix("'''exec' ")?;
            let path = match exec.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next()?,
                None => exec.split(' ').next()?,
            };
            Some(PathBuf::from(path)).filter(|path| is_python(path))
        }
    }
}

/// Runs an `esphome` program, with what it reads written into a file.
pub(crate) fn recording(python: &Path, into: &Path, program: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", WITNESS, "record"]).arg(into).arg(program);
    command
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_python_of_a_script_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("a b/python3.13");
        fs::create_dir(python.parent().unwrap()).unwrap();
        fs::write(&python, "").unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let shown = python.display();
        let of = |text: &str| {
            let program = dir.path().join("esphome");
            fs::write(&program, text).unwrap();
            super::of(&program)
        };
        assert_eq!(of(&format!("#!{shown}\nimport x\n")), Some(python.clone()));
        let quoted = format!("#!/bin/sh\n'''exec' \"{shown}\" \"$0\" \"$@\"\n' '''\n");
        assert_eq!(of(&quoted), Some(python.clone()));
        for other in
            ["#!/bin/sh\nexec docker run x\n", "\u{7f}ELF", "", "#!/nowhere/python\n", "#!"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(super::of(&dir.path().join("gone")), None);
    }
}
