"""Has ESPHome asked, each time by a process of its own; and where all of the program begins."""

import importlib
import json
import os
import signal
import sys
import time


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
