"""Runs ESPHome and writes down what it reads. Part of Wakeflash; nothing in ESPHome is changed.

witness.py record FILE PROGRAM ARGUMENT...
    runs the Python program PROGRAM and writes what it reads into FILE, as lines of JSON:
    {"begin": directory}, {"file": [path, SHA-256 or null]}, {"secret": the same}, {"secret_names": [...]},
    {"names": [directory, [...]]}, {"commit": [directory, commit or null]}.
    A path below the working directory is relative to it.

witness.py serve [alone]
    answers questions, one line of JSON each, with one line of JSON: what is a configuration, by ESPHome's own word?
    {"file": name, "seconds": limit, "bytes": limit of memory}; the working directory is the config directory.
    The first line says {"ready": "ESPHome's version"}. Each answer is made by a process of its own, a copy of this one
    that has loaded ESPHome already, so that none has a say in another. The components that one needs are loaded for
    the next ones; not for the process that is `alone`, which answers where others would stand in for those that a
    configuration brings.
"""

import errno
import hashlib
import importlib
import importlib.util
import json
import os
import re
import signal
import stat
import sys
import threading
import time

CODE = (
    ".c .cc .cpp .cxx .csv .h .hh .hpp .hxx .inc .ino .ipp .json .py .s .tcc .tpp .txt .yaml .yml".split()
)
SECRET = re.compile(rb"""!secret\s+(?:'([^']*)'|"([^"]*)"|([^\s'",\[\]{}]+))""")
COMMENT = re.compile(rb"(?m)(?:^|(?<=\s))#.*")
# What is wrong with a file that a configuration names; other errors of the system can pass.
OF_CONFIGURATION = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL
}  # fmt: skip
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


def serve(alone=False):
    # Whoever works at this computer, and builds, come first.
    os.setpriority(os.PRIO_PROCESS, 0, max(10, os.getpriority(os.PRIO_PROCESS, 0)))
    import esphome.__main__  # noqa: F401
    import esphome.config  # noqa: F401
    import esphome.const
    import esphome.core.config  # noqa: F401

    signal.signal(signal.SIGTERM, end)
    tell({"ready": esphome.const.__version__})
    # These stand in ESPHome's own process, too, before it looks at a configuration.
    always = set(sys.modules)
    for line in sys.stdin:
        question = json.loads(line)
        loaded = set() if alone else {name for name in sys.modules if name not in always}
        answer, modules = asked(question, loaded)
        if answer == {"again": True}:
            answer, modules = asked_elsewhere(question), []
        tell(answer)
        if not alone:
            load(modules)


def end(*_):
    """What is under way ends on the way out, and is tidied up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def tell(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def load(modules):
    """Components that one configuration uses are loaded before the next one is asked about."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001
            pass
    if modules:
        import gc

        gc.collect()
        gc.freeze()


def asked(question, loaded):
    """The answer, and the modules of ESPHome's own that it took."""
    import tempfile

    with tempfile.TemporaryDirectory() as build_path:
        reader, writer = os.pipe()
        # To be told to end has to wait until it is known what there is to end.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        child = os.fork()
        if child == 0:
            os.close(reader)
            answer_and_exit(question, loaded, build_path, writer)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            os.close(writer)
            said = until(reader, time.monotonic() + question["seconds"])
        finally:
            end_with_all(child)
            os.close(reader)
            _, status = os.waitpid(child, 0)
    if said is None:
        return {"timeout": question["seconds"]}, []
    try:
        answer, modules = json.loads(said)
    except ValueError:
        return {"died": os.waitstatus_to_exitcode(status)}, []
    return answer, modules


def asked_elsewhere(question):
    """The answer of a process that has loaded no components for others."""
    import subprocess

    command = [sys.executable, "-c", sys.orig_argv[2], "serve", "alone"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        said, _ = process.communicate(json.dumps(question).encode() + b"\n", 2 * question["seconds"])
        return json.loads(said.splitlines()[1])
    except subprocess.TimeoutExpired:
        return {"timeout": question["seconds"]}
    except (IndexError, ValueError):
        return {"died": process.wait()}
    finally:
        if process.poll() is None:
            # It knows best what there is to tidy up.
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                end_with_all(process.pid)
        process.communicate()


def until(reader, deadline):
    """What a child says until its end; `None`: it takes too long."""
    import select

    said = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            break
        part = os.read(reader, 1 << 16)
        if not part:
            return said
        said += part
    return None


def end_with_all(process):
    """Ends a process, with git and whatever else it has started, also where that leads a group of its own."""
    for one in [process, *descendants(process)]:
        for kill in (os.killpg, os.kill):
            try:
                kill(one, signal.SIGKILL)
            except OSError:
                # It is gone, or leads no group.
                pass


def descendants(process):
    """Those that the system tells of; elsewhere its group is all that is known."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(name))
    found = list(children.get(process, ()))
    for one in found:
        found += children.get(one, ())
    return found


def answer_and_exit(question, loaded, build_path, writer):
    known = set(sys.modules)
    try:
        os.setpgid(0, 0)
        import resource

        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        # Should the one that has started this be gone.
        signal.alarm(int(question["seconds"]) + 5)
        if question.get("bytes"):
            resource.setrlimit(resource.RLIMIT_AS, (question["bytes"], question["bytes"]))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        reads = []
        Record(reads.append).start()
        prefer_its_own(loaded)
        answer = answer_about(question["file"], build_path)
        answer["reads"] = reads
        for problem in answer.get("problems", []):
            problem["says"] = problem["says"][:2000]
        taken = [name for name in sys.modules if name not in known and of_esphome(name)]
        os.set_inheritable(writer, False)
        text = json.dumps([answer, taken]).encode()
        while text:
            text = text[os.write(writer, text) :]
        os._exit(0)
    except Again:
        os.write(writer, json.dumps([{"again": True}, []]).encode())
        os._exit(0)
    except BaseException as error:  # noqa: BLE001
        text = json.dumps([{"fault": f"{type(error).__name__}: {error}"}, []])
        os.write(writer, text.encode())
        os._exit(1)


class Again(BaseException):
    """Components that are loaded already would stand in for those that the configuration brings."""


def prefer_its_own(loaded):
    import esphome.loader

    install = esphome.loader.install_meta_finder
    components = {name.split(".")[2] for name in loaded if name.startswith("esphome.components.")}

    def installed(components_path, allowed_components=None, *args, **kwargs):
        brought = components if allowed_components is None else components.intersection(allowed_components)
        if any(os.path.exists(os.path.join(components_path, name, "__init__.py")) for name in brought):
            raise Again
        return install(components_path, allowed_components, *args, **kwargs)

    esphome.loader.install_meta_finder = installed


def of_esphome(name):
    import esphome

    file = getattr(sys.modules[name], "__file__", None)
    return name.startswith("esphome.") and file is not None and same_or_below(file, esphome.__path__[0])


def answer_about(file, build_path):
    from pathlib import Path

    import esphome.const
    import esphome.core.config
    from esphome.config import load_config
    from esphome.core import CORE, EsphomeError

    # To name them all, ESPHome would load every component that it has.
    esphome.core.config._list_target_platforms = lambda: ["esp32", "esp8266", "rp2", "..."]
    CORE.config_path = Path(file)
    faults = faults_logged()
    try:
        config = load_config({})
    except Exception as error:  # noqa: BLE001
        if (fault := passing_fault(error)) or (fault := next(iter(faults), None)):
            return {"passing": fault}
        # ESPHome would end with it, too.
        if not isinstance(error, EsphomeError) and not is_mapping(file):
            return {"problems": [{"says": "'esphome' section missing from configuration"}]}
        return {"problems": [problem_of_text(error)]}
    if config.errors:
        faults += filter(None, map(passing_fault, config.errors))
        if faults:
            return {"passing": faults[0]}
        return {"problems": [problem_of(config, error) for error in config.errors[:20]]}
    CORE.config = config
    answer = {
        "esphome": esphome.const.__version__,
        "platform": CORE.target_platform,
        "config": plain(of_interest(config)),
    }
    CORE.build_path = Path(build_path)
    answer["hash"] = hash_of(config)
    return answer


def passing_fault(error):
    """What this computer lacks now, and that is no fault of the configuration."""
    for one in led_to(error):
        if isinstance(one, MemoryError):
            return "there isn't enough memory"
        if isinstance(one, OSError) and one.errno is not None and one.errno not in OF_CONFIGURATION:
            return str(one)[:2000]
    return None


def led_to(error):
    """An error with those that led to it."""
    seen, open_ones = set(), [error]
    while open_ones:
        one = open_ones.pop()
        if id(one) in seen or not isinstance(one, BaseException):
            continue
        seen.add(id(one))
        yield one
        open_ones += [getattr(one, "base_exc", None), one.__cause__, one.__context__, *one.args]
        open_ones += several if isinstance(several := getattr(one, "errors", None), list) else []


def faults_logged():
    """Those that ESPHome only logs, to say something else about the configuration then."""
    import logging

    faults = []

    class Handler(logging.Handler):
        def emit(self, record):
            if record.exc_info and (fault := passing_fault(record.exc_info[1])):
                faults.append(fault)

    logging.getLogger().addHandler(Handler())
    return faults


def is_mapping(file):
    from pathlib import Path

    from esphome.yaml_util import load_yaml

    try:
        return isinstance(load_yaml(Path(file)), dict)
    except Exception:  # noqa: BLE001
        return True


def of_interest(config):
    """By these names it stands in what a compile leaves, too."""

    def part(section, *keys):
        return {key: section[key] for key in keys if key in section}

    core = config["esphome"]
    some = {"esphome": part(core, "name", "friendly_name", "name_add_mac_suffix", "area")}
    for network in ("wifi", "ethernet", "openthread"):
        if network in config:
            some[network] = part(config[network] or {}, "use_address", "manual_ip")
    if "ota" in config:
        some["ota"] = [part(ota, "platform", "port", "password", "encryption") for ota in config["ota"]]
    for section, keys in (
        ("api", ("port", "encryption")),
        ("web_server", ("port",)),
        ("deep_sleep", ("run_duration", "sleep_duration")),
        ("mdns", ("disabled",)),
    ):
        if section in config:
            some[section] = part(config[section] or {}, *keys)
    return some


def plain(value):
    try:
        from esphome.compiled_config import _json_default as default
    except ImportError:
        default = str
    return json.loads(json.dumps(value, default=default))


def hash_of(config):
    """That of a build: ESPHome takes it after it has made the code, which can change the configuration."""
    from esphome.__main__ import generate_cpp_contents
    from esphome.const import Toolchain
    from esphome.core import CORE

    if CORE.toolchain is None:
        CORE.toolchain = Toolchain.PLATFORMIO
    try:
        generate_cpp_contents(config)
        return f"{CORE.config_hash:08x}"
    except Exception:  # noqa: BLE001
        return None


def problem_of(config, error):
    from esphome.config import _format_vol_invalid

    place = config.get_deepest_document_range_for_path(error.path, error.error_message == "extra keys not allowed")
    problem = {"says": _format_vol_invalid(error, config), "validation": True}
    if place is not None:
        mark = place.start_mark
        problem |= {"file": str(mark.document), "line": mark.line + 1, "column": mark.column + 1}
    return problem


def problem_of_text(error):
    """A problem with the text of a file: where it is stands in one of the errors that led to this one."""
    for one in led_to(error):
        if placed := placed_problem(one) or undecodable(one, str(error)):
            return placed
    kind = "" if type(error).__module__.startswith("esphome") else f"{type(error).__name__}: "
    return {"says": f"{kind}{error}"}


def placed_problem(error):
    """What PyYAML says about a place."""
    says, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if str(says).startswith("NOTE"):
        says, mark = error.context, error.context_mark
    if mark is None:
        # What it says where something is wrong with the context alone.
        says, mark = getattr(error, "context", None), getattr(error, "context_mark", None)
    if says and mark is not None:
        return {"says": str(says), "file": str(mark.name), "line": mark.line + 1, "column": mark.column + 1}
    if type(error).__name__ == "ReaderError" and isinstance(error.position, int):
        try:
            with open(error.name, encoding="utf-8-sig", newline="") as file:
                before = file.read(error.position)
        except (OSError, ValueError):
            return None
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return {"says": str(error.reason), "file": str(error.name), "line": line, "column": column}
    return None


def undecodable(error, says):
    """A file that isn't UTF-8: ESPHome says which one, and the error only where in a part of it."""
    named = re.search(r"Error reading file (.+?): ", says)
    if not isinstance(error, UnicodeDecodeError) or named is None:
        return None
    try:
        with open(named[1], "rb") as file:
            file.read().decode()
    except UnicodeDecodeError as placed:
        before = placed.object[: placed.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        return {"says": "these bytes aren't UTF-8", "file": named[1], "line": line, "column": column}
    except OSError:
        pass
    return None


def main():
    match sys.argv[1:]:
        case ["record", into, program, *arguments]:
            record(into, program, *arguments)
        case ["serve", *alone]:
            sys.path.pop(0)
            serve(alone=alone == ["alone"])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
