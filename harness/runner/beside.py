# SPDX-License-Identifier: BSD-3-Clause
"""--beside: the small file that says of a target what nvme-cli's configuration has no words for (docs/profile.md).

Every host that the configuration connects to the chosen subsystem becomes an identity; the file beside completes it by its NQN, and
may add further ports, identities, PSKs, and what the target is known not to support.
"""

from . import keys, nvmeconfig
from .errors import UsageError

MEMBERS = ("format", "target", "ports", "hosts", "psks", "unsupported")


def read(path):
    """read returns the object of the file at path and its mode; UsageError when it is none."""
    side, mode = nvmeconfig.load_json(path, "--beside")
    if not isinstance(side, dict):
        raise UsageError(f"--beside {path}: is not a JSON object")
    for name in side:
        if name not in MEMBERS:
            raise UsageError(f"--beside {path}: no {name!r} stands there, only {', '.join(MEMBERS[1:])}; addresses and names are of the -J file")
    for name in ("hosts", "psks"):
        if not isinstance(side.get(name, []), list) or not all(isinstance(item, dict) and isinstance(item.get("hostnqn"), str)
                                                              for item in side.get(name, [])):
            raise UsageError(f"--beside {path}: {name} is not a list of objects that name a hostnqn")
    if not isinstance(side.get("ports", {}), dict):
        raise UsageError(f"--beside {path}: ports is not an object")
    return side, mode


def entries(args, redactor):
    """entries returns the Entry of each host of the -J file for the one place that fits the options, their secrets checked."""
    found = nvmeconfig.read_all(args.config, args.hostnqn, args.nqn, args.traddr, args.trsvcid)
    for entry in found:
        for name, kind in (("dhchap_key", "dhchap"), ("dhchap_ctrl_key", "dhchap"), ("tls_key", "psk")):
            text = getattr(entry, name)
            if text:
                redactor.known(text)
                redactor.known(text, keys.parse(text, kind, f"config {args.config}: {name} of {entry.hostnqn}"))
    return found


def profile(found, side, path, form):
    """profile returns the profile that the entries and the file beside make together."""
    known = {entry.hostnqn for entry in found}
    more = {host["hostnqn"]: host for host in side.get("hosts", []) if host["hostnqn"] in known}
    hosts = [_host(entry, more.get(entry.hostnqn, {}), path) for entry in found]
    hosts += [host for host in side.get("hosts", []) if host["hostnqn"] not in known]
    ports = {"concat": None, "tls": None, "plain": None}
    ports["tls" if found[0].tls else "concat"] = int(found[0].trsvcid or 4420)
    for kind, number in side.get("ports", {}).items():
        if ports.get(kind) is not None and ports[kind] != number:
            raise UsageError(f"--beside {path}: the -J file says already that port {kind} is {ports[kind]}")
        ports[kind] = number
    psks = [{"hostnqn": entry.hostnqn, "interchange": entry.tls_key} for entry in found if entry.tls_key]
    rest = {name: side[name] for name in ("target", "unsupported") if name in side}
    return {"format": form, "subnqn": found[0].nqn, "ports": ports, "hosts": hosts, "psks": psks + side.get("psks", []), **rest}


def _host(entry, more, path):
    host = {"hostnqn": entry.hostnqn, "hostid": entry.hostid or nvmeconfig.default_hostid(entry.hostnqn), "hash": None, "dhgroup": None,
            "dhchap_secret": entry.dhchap_key, "dhchap_ctrl_secret": entry.dhchap_ctrl_key}
    for name, value in more.items():
        if host.get(name) is not None and host[name] != value:
            raise UsageError(f"--beside {path}: the -J file has another {name} of {entry.hostnqn}")
        host[name] = value
    return host
