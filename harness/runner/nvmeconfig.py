# SPDX-License-Identifier: BSD-3-Clause
"""Files that nvme-cli users already have: /etc/nvme/hostnqn and hostid, libnvme's config.json, and the INI file of 3.0."""

import json
import os
import uuid
from dataclasses import dataclass

from . import fabricsconf, keys
from .errors import UsageError

HOSTNQN_FILE = "/etc/nvme/hostnqn"
HOSTID_FILE = "/etc/nvme/hostid"
UUID_NQN = "nqn.2014-08.org.nvmexpress:uuid:"
LARGEST_JSON = 1 << 26


@dataclass
class Entry:
    """Entry is one port of one subsystem as one host of a configuration sees it; None: not given there."""

    hostnqn: str = None
    hostid: str = None
    nqn: str = None
    traddr: str = None
    trsvcid: str = None
    dhchap_key: str = None
    dhchap_ctrl_key: str = None
    tls: bool = False
    concat: bool = False
    tls_key: str = None
    hdr_digest: bool = False
    data_digest: bool = False
    keep_alive_tmo: int = None


def default_hostnqn():
    """default_hostnqn returns the host NQN of this machine, or a fresh one."""
    return _first_line(HOSTNQN_FILE) or UUID_NQN + str(uuid.uuid4())


def default_hostid(hostnqn):
    """default_hostid returns the host id that goes with hostnqn: this machine's, the NQN's own UUID, or one made of the NQN."""
    if hostnqn == _first_line(HOSTNQN_FILE) and _first_line(HOSTID_FILE):
        return _first_line(HOSTID_FILE)
    if hostnqn.startswith(UUID_NQN):
        try:
            return str(uuid.UUID(hostnqn[len(UUID_NQN) :]))
        except ValueError:
            pass
    return str(uuid.uuid5(uuid.NAMESPACE_URL, hostnqn))


def _first_line(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline(512).strip()
    except OSError:
        return ""


def load_json(path, what):
    """load_json returns the object in a JSON file and the file's mode; UsageError with line and column when it is none."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LARGEST_JSON + 1)
    except OSError as error:
        raise UsageError(f"{what} {path}: {error.strerror}") from error
    if len(data) > LARGEST_JSON:
        raise UsageError(f"{what} {path}: longer than {LARGEST_JSON} bytes")
    try:
        return json.loads(data), mode
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path}: byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{what} {path}: line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{what} {path}: nested too deeply") from None


def read(path, hostnqn=None, nqn=None, traddr=None, trsvcid=None):
    """read returns the one Entry of a libnvme config.json or nvme-fabrics.conf that fits what is already known.

    UsageError when nothing or more than one thing fits, and when the file holds secrets that others may read.
    """
    if _is_ini(path):
        return _read_ini(path, {"hostnqn": hostnqn, "nqn": nqn, "traddr": traddr, "trsvcid": trsvcid})
    tree, mode = load_json(path, "config")
    hosts = tree.get("hosts", []) if isinstance(tree, dict) else tree
    host = _only(_objects(hosts, path, "hosts"), {"hostnqn": hostnqn}, path, "host", "-q HOSTNQN")
    subsystem = _only(_objects(host.get("subsystems", []), path, "subsystems"), {"nqn": nqn}, path, "subsystem", "-n NQN")
    port = _only(_tcp_ports(subsystem, path), {"traddr": traddr, "trsvcid": trsvcid}, path, "tcp port", "-a ADDR and -s PORT")
    entry = _entry(host, subsystem, port, path)
    if entry.dhchap_key or entry.dhchap_ctrl_key or entry.tls_key:
        keys.refuse_shared(mode, path, f"config {path}: holds secrets and is")
    return entry


def read_all(path, hostnqn=None, nqn=None, traddr=None, trsvcid=None):
    """read_all returns the Entry of every host that speaks to the one place (subsystem, address, port) that fits what is known.

    UsageError when no place or more than one fits, and when the file holds secrets that others may read.
    """
    wanted = {"hostnqn": hostnqn, "nqn": nqn, "traddr": traddr, "trsvcid": trsvcid}
    if _is_ini(path):
        fitting = [found for found in fabricsconf.connections(path) if found.get("transport", "tcp") == "tcp"]
        for found in fitting:
            fabricsconf.refuse_shared(found)
        found = [_ini_entry(one) for one in fitting]
    else:
        tree, mode = load_json(path, "config")
        hosts = tree.get("hosts", []) if isinstance(tree, dict) else tree
        found = [_entry(host, subsystem, port, path) for host in _objects(hosts, path, "hosts")
                 for subsystem in _objects(host.get("subsystems", []), path, "subsystems")
                 for port in _tcp_ports(subsystem, path)]
        if any(entry.dhchap_key or entry.dhchap_ctrl_key or entry.tls_key for entry in found):
            keys.refuse_shared(mode, path, f"config {path}: holds secrets and is")
    found = [entry for entry in found if all(value is None or str(getattr(entry, name)) == str(value) for name, value in wanted.items())]
    places = {(entry.nqn, entry.traddr, entry.trsvcid) for entry in found}
    if len(places) != 1:
        raise UsageError(f"config {path}: {len(places) or 'no'} places to connect to fit; choose one with -n NQN, -a ADDR and -s PORT")
    for entry in found:
        if not entry.hostnqn or not entry.nqn or not entry.traddr:
            raise UsageError(f"config {path}: a connection lacks hostnqn, nqn or traddr")
    return found


def _is_ini(path):
    if os.path.isdir(path + ".d") and not os.path.exists(path):
        return True  # a main file may be missing where there are drop-ins
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return fabricsconf.is_ini(path, file.read(4096))
    except OSError:
        return False  # said by whoever reads it


def _read_ini(path, wanted):
    fitting = [found for found in fabricsconf.connections(path) if found.get("transport", "tcp") == "tcp"]
    found = _only(fitting, wanted, path, "tcp connection", "-q HOSTNQN, -n NQN, -a ADDR and -s PORT")
    fabricsconf.refuse_shared(found)
    return _ini_entry(found)


def _ini_entry(found):
    kato = found.get("keep-alive-tmo")
    if kato and not kato.isdecimal():
        raise UsageError(f"config {found['file']}: keep-alive-tmo is not a number")
    names = {"hostnqn": ("hostnqn",), "hostid": ("hostid",), "nqn": ("nqn",), "traddr": ("traddr",), "trsvcid": ("trsvcid",),
             "dhchap_key": ("dhchap-secret", "kxchap-secret"), "dhchap_ctrl_key": ("dhchap-ctrl-secret", "kxchap-ctrl-secret"),
             "tls_key": ("tls-key",)}
    # An empty value takes a setting back.
    texts = {name: next((found[key] for key in spelled if found.get(key)), None) for name, spelled in names.items()}
    flags = {name: fabricsconf.truth(found, name.replace("_", "-")) for name in ("tls", "concat", "hdr_digest", "data_digest")}
    return Entry(**texts, **flags, keep_alive_tmo=int(kato) if kato else None)


def _tcp_ports(subsystem, path):
    return [port for port in _objects(subsystem.get("ports", []), path, "ports")
            if port.get("transport", "tcp") == "tcp" and not _true(port.get("discovery"))]


def _objects(items, path, name):
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"config {path}: {name} is not a list of objects")
    return items


def _only(items, wanted, path, what, option):
    wanted = {name: str(value) for name, value in wanted.items() if value is not None}
    fitting = [item for item in items if all(str(item.get(name)) == value for name, value in wanted.items())]
    if len(fitting) == 1:
        return fitting[0]
    asked = " with " + ", ".join(f"{name} {value}" for name, value in wanted.items()) if wanted else ""
    if not fitting:
        raise UsageError(f"config {path}: no {what}{asked} in it")
    raise UsageError(f"config {path}: {len(fitting)} entries for a {what}{asked}; choose one with {option}")


def _entry(host, subsystem, port, path):
    texts = {
        "hostnqn": host.get("hostnqn"),
        "hostid": host.get("hostid"),
        "nqn": subsystem.get("nqn"),
        "traddr": port.get("traddr"),
        "trsvcid": port.get("trsvcid"),
        "dhchap_key": port.get("dhchap_key") or subsystem.get("dhchap_key") or host.get("dhchap_key"),
        "dhchap_ctrl_key": port.get("dhchap_ctrl_key"),
        "tls_key": port.get("tls_key"),
    }
    for name, value in texts.items():
        if isinstance(value, int) and not isinstance(value, bool) and name == "trsvcid":
            texts[name] = str(value)
        elif value is not None and not isinstance(value, str):
            raise UsageError(f"config {path}: {name} is not a text")
    kato = port.get("keep_alive_tmo")
    if kato is not None and (isinstance(kato, bool) or not isinstance(kato, int)):
        raise UsageError(f"config {path}: keep_alive_tmo is not a number")
    flags = {name: _true(port.get(name)) for name in ("tls", "concat", "hdr_digest", "data_digest")}
    return Entry(**texts, **flags, keep_alive_tmo=kato)


def _true(value):
    # nvme-cli writes booleans, and people write "true" by hand.
    return value is True or (isinstance(value, str) and value.lower() == "true")
