"""What is a configuration, by ESPHome's own word?"""

import errno
import json
import os
import re
import sys

# What is wrong with a file that a configuration names; other errors of the system can pass.
OF_CONFIGURATION = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL
}  # fmt: skip


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
