# SPDX-License-Identifier: BSD-3-Clause
"""The command line: nvme-cli's options with nvme-cli's meaning, and the target description made of them."""

import argparse
import ipaddress
import re
import shlex
import socket
import sys
from dataclasses import dataclass, field

from . import beside, keys, nvmeconfig
from .errors import EXIT_USAGE, UsageError

FAULTS = ("none", "split", "merge", "delay", "tls-records", "split+digests")
LARGEST_SEED = (1 << 63) - 1
LONGEST_NQN = 223
FORMAT = "nvme-conform-profile/1"
DEFAULT_NQN = "nqn.2014-08.org.nvmexpress:nvme-conform:subsystem"  # of our own target
HOST_SECRET = "NVME_CONFORM_DHCHAP_SECRET"
CTRL_SECRET = "NVME_CONFORM_DHCHAP_CTRL_SECRET"
TLS_KEY = "NVME_CONFORM_TLS_KEY"


class Parser(argparse.ArgumentParser):
    """Parser says what is wrong in one line and takes no abbreviations, which change meaning as options are added."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        print(f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


def seed(text):
    """seed is the argparse type of --seed: 0 to 2^63 - 1, decimal or 0x..."""
    value = int(text, 0)
    if not 0 <= value <= LARGEST_SEED:
        raise ValueError
    return value


def jobs(text):
    """jobs is the argparse type of -j: 1 to 256."""
    value = int(text)
    if not 1 <= value <= 256:
        raise ValueError
    return value


def seconds(text):
    """seconds is the argparse type of --timeout: 1 to 86400."""
    value = int(text)
    if not 1 <= value <= 86400:
        raise ValueError
    return value


def port(text):
    """port is the argparse type of -s: a TCP port from 1 to 65535."""
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError
    return value


def keep_alive(text):
    """keep_alive is the argparse type of -k: seconds as nvme-cli has them, 0 to 65535."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value


def add_target_options(parser):
    """add_target_options adds nvme-cli's options that say where the target is and as whom to speak to it."""
    group = parser.add_argument_group("target (as in nvme connect)")
    add = group.add_argument
    add("-t", "--transport", default="tcp", metavar="TRTYPE", help="tcp, the only one there is here")
    add("-a", "--traddr", metavar="ADDR", help="address of the target")
    add("-s", "--trsvcid", type=port, metavar="PORT", help="TCP port (default 4420)")
    add("-n", "--nqn", metavar="NQN", help="NQN of the subsystem")
    add("-q", "--hostnqn", metavar="NQN", help=f"NQN to act as (default {nvmeconfig.HOSTNQN_FILE}, else a fresh one)")
    add("-I", "--hostid", metavar="UUID", help="host identifier to act as")
    add("-S", "--dhchap-secret", "--kxchap-secret", dest="dhchap_secret", metavar="SECRET",
        help=f"secret of the host: DHHC-1:..., @FILE or fd:N (default ${HOST_SECRET})")
    add("-C", "--dhchap-ctrl-secret", "--kxchap-ctrl-secret", dest="dhchap_ctrl_secret", metavar="SECRET",
        help=f"secret of the controller, for both directions (default ${CTRL_SECRET})")
    add("--dhchap-secret-file", "--kxchap-secret-file", dest="dhchap_secret_file", metavar="FILE", help="same as -S @FILE")
    add("--dhchap-ctrl-secret-file", "--kxchap-ctrl-secret-file", dest="dhchap_ctrl_secret_file", metavar="FILE",
        help="same as -C @FILE")
    add("--tls", action="store_true", help="PORT speaks TLS from the first byte")
    add("--tls-key", "--tls_key", dest="tls_key", metavar="KEY",
        help=f"configured PSK: NVMeTLSkey-1:..., @FILE or fd:N (default ${TLS_KEY})")
    add("--tls-key-file", dest="tls_key_file", metavar="FILE", help="same as --tls-key @FILE")
    add("--concat", action="store_true", help="PORT does secure channel concatenation; not reaching it is no clean run")
    add("-g", "--hdr-digest", action="store_true", help="ask for header digests")
    add("-G", "--data-digest", action="store_true", help="ask for data digests")
    add("-k", "--keep-alive-tmo", type=keep_alive, metavar="SECONDS", help="keep alive timeout")
    add("-J", "--config", metavar="FILE", help="libnvme config.json or nvme-fabrics.conf with the above (none: do not read one)")
    add("--beside", metavar="FILE", help="what the file of -J lacks: hash, group and policy of its hosts, further ports, what is not supported")
    add("--profile", metavar="FILE", help="target profile with many identities, instead of the above")


@dataclass
class Target:
    """Target is what the cases run against, in the engine's words, and the options that name it again without secrets."""

    config: object = "reference"
    text: str = "the reference target"
    again: list = field(default_factory=list)
    note: str = ""
    hdr_digest: bool = False
    data_digest: bool = False
    keep_alive_tmo: int = None
    claims: tuple = ()

    @property
    def is_reference(self):
        return self.config == "reference"

    @property
    def num_hosts(self):
        """num_hosts is as how many hosts one may speak to it, at least 1; the engine refuses a profile without any."""
        hosts = self.config.get("hosts")
        return max(1, len(hosts)) if isinstance(hosts, list) else 1

    def effects(self):
        """effects returns what a run will do to this target, in sentences; the reference target is ours to break."""
        if self.is_reference:
            return []
        hosts = self.config.get("hosts")
        names = f"{len(hosts)} host identities" if isinstance(hosts, list) and len(hosts) != 1 else "the host identity"
        return [f"On this target the run makes associations as {names} given, breaks some of them off, and ends them all.",
                "Where these hosts do secure channel concatenation, the PSK generated for them is replaced; another association "
                "of the same host NQN with this subsystem may lose its connection.",
                "Nothing is written to a namespace, and nothing of the target's configuration is changed."]


SINGLE = ("traddr", "trsvcid", "nqn", "hostnqn", "hostid", "dhchap_secret", "dhchap_ctrl_secret", "dhchap_secret_file",
          "dhchap_ctrl_secret_file", "tls_key", "tls_key_file")


def build_target(args, redactor, listening=False):
    """build_target makes the Target of parsed options. With listening, the options describe a target to be (`target`): an
    address to listen on, and a subsystem that has a name already."""
    _refuse_empty(args)
    if args.transport != "tcp":
        raise UsageError(f"--transport {args.transport}: only tcp has a secure channel here; use -t tcp")
    if args.profile:
        return _named(args.profile, _from_profile(args, redactor))
    if args.beside:
        return _from_config_and_beside(args, redactor)
    entry = _config_entry(args)
    given = {name: getattr(args, name) or getattr(entry, name) for name in ("traddr", "trsvcid", "nqn", "hostnqn", "hostid")}
    if not given["traddr"]:
        _nothing_without_address(args)
        return Target()
    return _from_options(args, entry, given, redactor, listening)


def _refuse_empty(args):
    """_refuse_empty refuses what a shell makes of a variable that is not set; without the secret other things would be judged."""
    empty = [name for name in (*SINGLE, "config", "beside", "profile") if getattr(args, name) == ""]
    if empty:
        raise UsageError(f"--{empty[0].replace('_', '-')}: is empty; give it a value or leave it out")


def _nothing_without_address(args):
    named = [name for name in SINGLE if getattr(args, name)] + [name for name in ("tls", "concat") if getattr(args, name)]
    if named:
        raise UsageError(f"--{named[0].replace('_', '-')} describes a target, but there is no --traddr; "
                         "add -a ADDR, or leave it out to run against the reference target")


def _config_entry(args):
    if not args.config or args.config == "none":
        return nvmeconfig.Entry()
    return nvmeconfig.read(args.config, args.hostnqn, args.nqn, args.traddr, args.trsvcid)


def _from_profile(args, redactor):
    clash = [name for name in SINGLE if getattr(args, name)] + [name for name in ("config", "beside") if getattr(args, name)]
    if clash:
        raise UsageError(f"--profile and --{clash[0].replace('_', '-')} exclude each other: the profile says it all")
    profile, mode = nvmeconfig.load_json(args.profile, "profile")
    if not isinstance(profile, dict):
        raise UsageError(f"profile {args.profile}: is not a JSON object")
    if profile.get("format") != FORMAT:
        raise UsageError(f"profile {args.profile}: \"format\" is {profile.get('format')!r}, not {FORMAT!r} (docs/profile.md)")
    if _teach(profile, redactor):
        keys.refuse_shared(mode, args.profile, f"profile {args.profile}: holds secrets and is")
    text = f"{profile.get('addr') or '?'}, {profile.get('subnqn') or '?'}"
    claims = _claims(args)
    again = ["--profile", args.profile] + [f"--{claim}" for claim in claims] + _digest_options(args)
    return Target(profile, text, again, "", args.hdr_digest, args.data_digest, args.keep_alive_tmo, claims)


def _named(path, target):
    """_named returns the Target of a profile that says where it is; of what is only to open a capture, nobody has to know."""
    for name in ("addr", "subnqn"):
        if not isinstance(target.config.get(name), str) or not target.config[name]:
            raise UsageError(f"profile {path}: \"{name}\" is missing, or no text (docs/profile.md)")
    return target


def _from_config_and_beside(args, redactor):
    if not args.config or args.config == "none":
        raise UsageError("--beside completes what -J reads: add -J FILE")
    clash = [name for name in SINGLE if getattr(args, name) and name not in ("traddr", "trsvcid", "nqn", "hostnqn")]
    if clash:
        raise UsageError(f"--beside and --{clash[0].replace('_', '-')} exclude each other: write it into {args.beside}")
    side, mode = beside.read(args.beside)
    if _teach(side, redactor):
        keys.refuse_shared(mode, args.beside, f"--beside {args.beside}: holds secrets and is")
    found = beside.entries(args, redactor)
    args.tls, args.concat = args.tls or found[0].tls, args.concat or any(entry.concat for entry in found)
    claims, number = _claims(args), _port_number(found[0].trsvcid or 4420)
    profile = {**beside.profile(found, side, args.beside, FORMAT), "addr": _address(found[0].traddr)}
    chosen = [word for option, value in (("-n", args.nqn), ("-a", args.traddr), ("-s", args.trsvcid), ("-q", args.hostnqn)) if value
              for word in (option, str(value))]
    return Target(profile, f"{found[0].traddr} port {number}, {found[0].nqn}",
                  ["-J", args.config, "--beside", args.beside, *chosen, *(f"--{claim}" for claim in claims), *_digest_options(args)], "",
                  args.hdr_digest or found[0].hdr_digest, args.data_digest or found[0].data_digest,
                  found[0].keep_alive_tmo if args.keep_alive_tmo is None else args.keep_alive_tmo, claims)


def build_twin(path, args, target, redactor):
    """build_twin makes the Target of a further profile; UsageError unless it has the identities of `target`, so that the cases
    may run against either."""
    twin = _named(path, _from_profile(argparse.Namespace(**{**vars(args), "profile": path}), redactor))
    other = [name for name in ("subnqn", "hosts", "psks") if twin.config.get(name) != target.config.get(name)]
    if other:
        raise UsageError(f"--twin {path}: its {' and '.join(other)} are not those of {args.profile}; only address and ports may differ")
    return twin


def _teach(profile, redactor):
    """_teach makes every secret of a profile known to the redactor, and tells whether there was one."""
    found = False
    for name in ("hosts", "psks"):
        items = profile.get(name)
        for item in items if isinstance(items, list) else []:
            for member in ("dhchap_secret", "dhchap_ctrl_secret", "interchange", "tls_psk"):
                value = item.get(member) if isinstance(item, dict) else None
                if isinstance(value, str) and value:
                    redactor.known(value, _bytes_of(value))
                    found = True
    return found


def _bytes_of(text):
    for kind in keys.PREFIX:
        try:
            return keys.parse(text, kind, "profile")
        except UsageError:
            pass
    return b""


def identities(args, redactor):
    """identities returns the secrets of the parsed options with the names they belong to (None: anybody's), for `replay`."""
    _refuse_empty(args)
    if args.profile:
        profile = _from_profile(args, redactor).config
        subnqn, hosts, psks = profile.get("subnqn"), profile.get("hosts"), profile.get("psks")
        items = [item for items in (hosts, psks) if isinstance(items, list) for item in items if isinstance(item, dict)]
        members = ("hostnqn", "dhchap_secret", "dhchap_ctrl_secret", "interchange")
        return [{"subnqn": subnqn, **{name: item[name] for name in members if item.get(name)}} for item in items]
    entry = _config_entry(args)
    # Whose connections use a configured PSK is for the capture to say.
    secret, ctrl, psk = _secrets(argparse.Namespace(**{**vars(args), "tls": True}), entry, redactor)
    if not (secret or ctrl or psk):
        return []
    hostnqn, subnqn = args.hostnqn or entry.hostnqn, args.nqn or entry.nqn
    return [{"hostnqn": hostnqn and _nqn(hostnqn, "--hostnqn"), "subnqn": subnqn and _nqn(subnqn, "--nqn"),
             "dhchap_secret": secret and secret.text, "dhchap_ctrl_secret": ctrl and ctrl.text, "interchange": psk and psk.text}]


def _claims(args):
    if args.tls and args.concat:
        raise UsageError("--tls and --concat exclude each other: concatenation starts in clear (nvme-cli refuses it too)")
    return tuple(name for name in ("tls", "concat") if getattr(args, name))


def _digest_options(args):
    again = ["-g"] * args.hdr_digest + ["-G"] * args.data_digest
    return again + (["-k", str(args.keep_alive_tmo)] if args.keep_alive_tmo is not None else [])


def _from_options(args, entry, given, redactor, listening):
    args.tls, args.concat = args.tls or (entry.tls and not args.concat), args.concat or (entry.concat and not args.tls)
    args.hdr_digest, args.data_digest = args.hdr_digest or entry.hdr_digest, args.data_digest or entry.data_digest
    if args.keep_alive_tmo is None:
        args.keep_alive_tmo = entry.keep_alive_tmo
    claims = _claims(args)
    number = _port_number(given["trsvcid"] or 4420)
    secret, ctrl, psk = _secrets(args, entry, redactor)
    if given["nqn"] is None and not listening:
        raise UsageError("--traddr needs the subsystem: add -n NQN (nvme discover lists them)")
    if ctrl and not secret:
        raise UsageError("--dhchap-ctrl-secret needs the secret of the host too: add -S")
    if args.concat and not secret:
        raise UsageError("--concat needs the secret of the host: add -S (the PSK is made by the authentication)")
    if args.tls and not psk:
        raise UsageError("--tls needs the configured PSK: add --tls-key")
    if psk and not args.tls:
        raise UsageError("--tls-key is used on a TLS port only: add --tls")
    hostnqn = _nqn(given["hostnqn"] or nvmeconfig.default_hostnqn(), "--hostnqn")
    hosts = [{"hostnqn": hostnqn, "hostid": _uuid(given["hostid"] or nvmeconfig.default_hostid(hostnqn)), "hash": None,
              "dhgroup": None, "dhchap_secret": secret and secret.text, "dhchap_ctrl_secret": ctrl and ctrl.text}]
    psks = [{"hostnqn": hostnqn, "interchange": psk.text}] if psk else []
    subnqn = _nqn(given["nqn"] or DEFAULT_NQN, "--nqn")
    profile = {"format": FORMAT, "subnqn": subnqn, "addr": _address(given["traddr"]),
               "ports": {"concat": None if args.tls else number, "tls": number if args.tls else None, "plain": None},
               "hosts": hosts, "psks": psks}
    again, note = _again(args, given, number, hosts, (secret, ctrl, psk))
    text = f"{given['traddr']} port {number}, {subnqn}"
    return Target(profile, text, again + [f"--{claim}" for claim in claims] + _digest_options(args), note,
                  args.hdr_digest, args.data_digest, args.keep_alive_tmo, claims)


def _secrets(args, entry, redactor):
    found = []
    for option, member, kind, variable, inherited in (
        ("dhchap-secret", "dhchap_secret", "dhchap", HOST_SECRET, entry.dhchap_key),
        ("dhchap-ctrl-secret", "dhchap_ctrl_secret", "dhchap", CTRL_SECRET, entry.dhchap_ctrl_key),
        ("tls-key", "tls_key", "psk", TLS_KEY, entry.tls_key),
    ):
        value, file = getattr(args, member), getattr(args, member + "_file")
        if value and file:
            raise UsageError(f"--{option} and --{option}-file exclude each other")
        if value and not value.startswith(keys.ELSEWHERE):
            redactor.known(value)
        if value or file:
            secret = keys.load(value, kind, option) if value else keys.from_file(file, kind, option)
        elif inherited:
            redactor.known(inherited)
            where = f"config {args.config}: {option}"
            secret = keys.Secret(inherited, keys.parse(inherited, kind, where), where, ("-J", args.config))
        else:
            # A PSK in the environment of a run without TLS is for another run.
            wanted = member != "tls_key" or args.tls
            secret = keys.from_environment(variable, kind) if wanted else None
        if secret:
            redactor.known(secret.text, secret.value)
        found.append(secret)
    return found


def _again(args, given, number, hosts, secrets):
    again = ["-a", given["traddr"], "-s", str(number), "-n", given["nqn"] or DEFAULT_NQN]
    again += ["-q", hosts[0]["hostnqn"], "-I", hosts[0]["hostid"]]
    missing = []
    for secret, variable in zip(secrets, (HOST_SECRET, CTRL_SECRET, TLS_KEY)):
        if secret and secret.again and secret.again[-1] != args.config:
            again += secret.again
        elif secret and secret.again:
            again += secret.again if "-J" not in again else ()
        elif secret:
            missing.append(variable)
    note = f"with the secret in {' and '.join(missing)}" if missing else ""
    return again, note


def _port_number(value):
    try:
        return port(value)
    except ValueError:
        raise UsageError(f"--trsvcid {value!r}: not a port from 1 to 65535") from None


def _address(text):
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "not a name"
        raise UsageError(f"--traddr {text}: neither an address nor a name that resolves ({why})") from None
    return found[0][4][0]


def _nqn(text, option):
    if not 0 < len(text.encode("utf-8", "surrogateescape")) <= LONGEST_NQN:
        raise UsageError(f"{option}: an NQN has 1 to {LONGEST_NQN} bytes (Base 2.2, 4.7)")
    if not text.startswith("nqn.") or any(ord(char) < 0x21 or ord(char) > 0x7E for char in text):
        raise UsageError(f"{option} {text!r}: not an NQN; one looks like nqn.2014-08.org.nvmexpress:uuid:... (Base 2.2, 4.7)")
    return text


def _uuid(text):
    digits = text.replace("-", "")
    if not re.fullmatch(r"[0-9a-fA-F]{32}", digits):
        raise UsageError(f"--hostid {text!r}: not a UUID of 32 hex digits")
    return text


def command(program, words):
    """command returns words as a line that a shell takes."""
    return " ".join([program] + [shlex.quote(word) for word in words])
