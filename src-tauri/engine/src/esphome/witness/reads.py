"""Runs ESPHome and writes down what it reads. Part of Wakeflash; nothing in ESPHome is changed.

witness record FILE PROGRAM ARGUMENT...
    runs the Python program PROGRAM and writes what it reads into FILE, as lines of JSON:
    {"begin": directory}, {"file": [path, SHA-256 or null]}, {"secret": the same}, {"secret_names": [...]},
    {"names": [directory, [...]]}, {"commit": [directory, commit or null]}.
    A path below the working directory is relative to it.

witness serve [alone]
    answers questions, one line of JSON each, with one line of JSON: what is a configuration, by ESPHome's own word?
    {"file": name, "seconds": limit, "bytes": limit of memory}; the working directory is the config directory.
    The first line says {"ready": "ESPHome's version"}. Each answer is made by a process of its own, a copy of this one
    that has loaded ESPHome already, so that none has a say in another. The components that one needs are loaded for
    the next ones; not for the process that is `alone`, which answers where others would stand in for those that a
    configuration brings.
"""

import hashlib
import importlib
import importlib.util
import json
import os
import re
import stat
import sys
import threading

CODE = (
    ".c .cc .cpp .cxx .csv .h .hh .hpp .hxx .inc .ino .ipp .json .py .s .tcc .tpp .txt .yaml .yml".split()
)
SECRET = re.compile(rb"""!secret\s+(?:'([^']*)'|"([^"]*)"|([^\s'",\[\]{}]+))""")
COMMENT = re.compile(rb"(?m)(?:^|(?<=\s))#.*")
# What ESPHome itself writes below its data directory.
OWN = "build storage idedata pio_components platformio snapshots .espressif .platformio esphome.json".split()

# What the system and other programs keep, where a user can keep sources, too.
SYSTEM = """proc sys dev run/user run/systemd
    etc/ca-certificates etc/fonts etc/gitconfig etc/group etc/host.conf etc/hostname etc/hosts etc/localtime
    etc/machine-id etc/mime.types etc/nsswitch.conf etc/os-release etc/passwd etc/pip.conf etc/pki etc/protocols
    etc/resolv.conf etc/services etc/ssl etc/timezone etc/xdg"""
HOME = """.cache .platformio .netrc .gitconfig .config/git .config/gh .config/fontconfig .config/matplotlib .config/pip
    .config/platformio .config/uv"""


def same_or_below(path, root):
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def parents(path):
    while (above := os.path.dirname(path)) != path:
        path = above
        yield path


class Record:
    """Hears of every file that this process is about to open, and hashes it."""

    def __init__(self, write):
        self.write = write
        self.busy = threading.local()
        self.known = set()
        # What this process makes itself.
        self.made = set()
        self.root = os.getcwd()
        self.data = os.path.join(self.root, os.environ.get("ESPHOME_DATA_DIR") or ".esphome")
        self.python, self.elsewhere = self.roots()

    def roots(self):
        import sysconfig

        paths = sysconfig.get_paths()
        python = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
        python |= {sys.prefix, sys.exec_prefix, sys.base_prefix}
        spec = importlib.util.find_spec("esphome")
        if spec is not None:
            python |= set(spec.submodule_search_locations or ())
        shared = {"/", "/usr", "/usr/local", os.path.expanduser("~")}
        python = {root for path in python for root in (path, os.path.realpath(path)) if root not in shared}
        python = {root for root in python if not same_or_below(self.root, root)}
        elsewhere = {os.sep + name for name in SYSTEM.split()}
        home = os.path.expanduser("~")
        elsewhere |= {os.path.join(home, name) for name in HOME.split()}
        elsewhere |= {os.environ[name] for name in ("PLATFORMIO_CORE_DIR", "IDF_TOOLS_PATH") if os.environ.get(name)}
        return sorted(python), sorted(elsewhere)

    def start(self):
        self.write({"begin": self.root})
        sys.addaudithook(self.heard)

    def heard(self, event, args):
        if event not in ("open", "os.listdir", "os.scandir", "os.mkdir"):
            return
        if getattr(self.busy, "now", False):
            return
        self.busy.now = True
        try:
            if event == "open":
                self.opened(*args)
            elif event == "os.mkdir":
                if not os.path.lexists(args[0]):
                    self.made.add(self.normal(args[0]))
            # Python's imports look into directories, too.
            elif not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):
                self.listed(args[0])
        finally:
            self.busy.now = False

    def opened(self, path, _mode, flags):
        if isinstance(path, int) or path is None:
            return
        # Only what is read and neither made nor changed; `O_NONBLOCK` comes with names below another directory.
        changed = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        if flags & changed:
            # For a temporary file Python names the directory that it makes it in.
            if not os.path.isdir(path):
                self.made.add(self.normal(path))
            return
        if flags & getattr(os, "O_NONBLOCK", 0):
            return
        path = self.normal(path)
        if path.endswith(".pyc"):
            try:
                path = importlib.util.source_from_cache(path)
            except ValueError:
                return
        if not self.counts(path):
            return
        repository = self.repository(path)
        digest, secrets = content(path)
        if secrets:
            self.tell("secret_names", secrets)
        if repository is not None:
            self.tell("commit", [self.shown(repository), commit_of(repository)])
        elif digest is not NotImplemented:
            secret = secret_in(sys._getframe(2))
            if secret is not None:
                self.tell("secret_names", [secret])
            self.tell("file" if secret is None else "secret", [self.shown(path), digest])

    def listed(self, path):
        if isinstance(path, int):
            return
        path = self.normal(path or ".")
        if path == self.root or same_or_below(path, self.data) or not self.counts(path):
            return
        self.tell("names", [self.shown(path), names_in(path)])

    def tell(self, what, value):
        key = json.dumps({what: value}, ensure_ascii=False)
        # ESPHome reads no file whose name isn't text; whoever reads this couldn't.
        if is_text(key) and key not in self.known:
            self.known.add(key)
            self.write({what: value})

    def normal(self, path):
        """The path as it is used, without what makes no difference: a `..` behind a link does make one."""
        path = os.path.join(os.getcwd(), os.fsdecode(os.fspath(path)))
        drive, path = os.path.splitdrive(path)
        parts = []
        for part in path.split(os.sep):
            if part == ".." and parts and not os.path.islink(drive + os.sep + os.sep.join(parts)):
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return drive + os.sep + os.sep.join(parts)

    def counts(self, path):
        if any(same_or_below(path, root) for root in self.python):
            return False
        if same_or_below(path, self.data):
            below = path[len(self.data) :].strip(os.sep).split(os.sep)
            return below[0] not in OWN and ".git" not in below and not below[-1].endswith((".lock", ".gitignore"))
        if path in self.made or any(above in self.made for above in parents(path)):
            return False
        if same_or_below(path, self.root):
            return ".git" not in path[len(self.root) :].split(os.sep)
        return not any(same_or_below(path, root) for root in self.elsewhere)

    def shown(self, path):
        return path[len(self.root) + 1 :] if same_or_below(path, self.root) else path

    def repository(self, path):
        """Where ESPHome has put the repository that the file is of."""
        if not same_or_below(path, self.data):
            return None
        between = (above for above in parents(path) if same_or_below(above, self.data) and above != self.data)
        return next((above for above in between if os.path.lexists(os.path.join(above, ".git"))), None)


def content(path):
    """A file's digest, and the names of the secrets that it uses. `None`: there is no such file; `NotImplemented`: it
    is something else than a file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return NotImplemented, []
        with open(path, "rb") as file:
            if not path.endswith((".yaml", ".yml")):
                return hashlib.file_digest(file, "sha256").hexdigest(), []
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None, []
    except OSError:
        return "unreadable", []
    names = {b"".join(name).decode("utf-8", "replace") for name in SECRET.findall(COMMENT.sub(b"", text))}
    return hashlib.sha256(text).hexdigest(), sorted(names)


def secret_in(frame):
    """The secret for whose sake alone a file is opened. The texts tell the names, too: an ESPHome that doesn't open the
    file for each secret wouldn't. One that says no name makes all of the file count."""
    while frame is not None:
        if frame.f_code.co_name == "construct_secret":
            return str(getattr(frame.f_locals.get("node"), "value", ""))
        frame = frame.f_back
    return None


def commit_of(repository):
    git = os.path.join(repository, ".git")
    try:
        head = first_line(os.path.join(git, "HEAD"))
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if os.path.exists(os.path.join(git, name)):
            return first_line(os.path.join(git, name))
        with open(os.path.join(git, "packed-refs"), encoding="utf-8") as file:
            return next(line.split()[0] for line in file if line.split()[1:] == [name])
    except (OSError, StopIteration, ValueError):
        return None


def first_line(path):
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


def names_in(directory):
    """What lies in a directory and can be a source."""
    try:
        with os.scandir(directory) as entries:
            found = [entry.name for entry in entries if may_be_source(entry)]
    except OSError:
        return []
    return sorted(found)


def is_text(name):
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def may_be_source(entry):
    name = entry.name
    if name.startswith(".") or name == "__pycache__" or not is_text(name):
        return False
    return os.path.splitext(name)[1].lower() in CODE or entry.is_dir()


def record(into, program, *arguments):
    file = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    Record(lambda line: os.write(file, json.dumps(line).encode() + b"\n")).start()
    sys.argv = [program, *arguments]
    sys.path[0] = os.path.dirname(program)
    import runpy

    runpy.run_path(program, run_name="__main__")
