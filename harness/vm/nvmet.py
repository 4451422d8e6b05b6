# SPDX-License-Identifier: BSD-3-Clause
"""Files for /conf of the guest that make Linux's nvmet the target of a profile."""

import shlex

from .credentials import GROUP_NAMES, HASH_NAMES

CONCAT_PORT, TLS_PORT, PLAIN_PORT = 4420, 4421, 4422
# name in the profile: (port, transport security, is it required)
PORTS = {"concat": (CONCAT_PORT, "tls1.3", "not required"), "tls": (TLS_PORT, "tls1.3", "required"),
         "plain": (PLAIN_PORT, "none", "not required")}
NAMESPACE_BYTES = 16 << 20

_FUNCTIONS = """\
# put FILE VALUE NAME: a value that the kernel refuses is reported, and NAME is dropped.
put() { echo "$2" >"$1" 2>/dev/null || say "REJECTED $3 ${1##*/}"; }
cd $CONFIG/nvmet || give_up "no nvmet"
"""


def _host_lines(host):
    """_host_lines configures one host; the default host keeps the kernel's hash and group."""
    yield f"cd $CONFIG/nvmet/hosts/{host['hostnqn']} || give_up 'no host {host['name']}'"
    if not host["dhchap_secret"]:
        return
    values = []
    if host["purpose"] != "default":
        values = [("dhchap_hash", f"hmac({HASH_NAMES[host['hash']]})"),
                  ("dhchap_dhgroup", GROUP_NAMES[host["dhgroup"]])]
    values.append(("dhchap_key", host["dhchap_secret"]))
    if host["dhchap_ctrl_secret"]:
        values.append(("dhchap_ctrl_key", host["dhchap_ctrl_secret"]))
    for name, value in values:
        yield f"put {name} {shlex.quote(value)} {host['name']}"


def setup_script(profile):
    """setup_script returns the part of init that configures nvmet, sourced by init.sh."""
    subsystem = f"subsystems/{profile['subnqn']}"
    hosts = " ".join("hosts/" + host["hostnqn"] for host in profile["hosts"])
    lines = [f"dd if=/dev/zero of=/tmp/namespace bs=1 count=0 seek={NAMESPACE_BYTES} 2>/dev/null",
             f"mkdir {subsystem} {subsystem}/namespaces/1 {hosts} "
             + " ".join(f"ports/{number}" for number in range(1, len(PORTS) + 1)),
             f"put {subsystem}/attr_allow_any_host 0 subsystem",
             f"put {subsystem}/namespaces/1/device_path /tmp/namespace subsystem",
             f"put {subsystem}/namespaces/1/buffered_io 1 subsystem",
             f"put {subsystem}/namespaces/1/enable 1 subsystem"]
    for host in profile["hosts"]:
        lines += _host_lines(host)
    lines += ["cd $CONFIG/nvmet",
              " ".join(f"$CONFIG/nvmet/hosts/{host['hostnqn']}" for host in profile["hosts"])
              .join(("ln -s ", f" {subsystem}/allowed_hosts/"))]
    for number, (name, (service, security, required)) in enumerate(PORTS.items(), 1):
        lines.append(f"cd $CONFIG/nvmet/ports/{number}")
        lines += [f"put {key} {shlex.quote(str(value))} port-{name}" for key, value in
                  (("addr_adrfam", "ipv4"), ("addr_trtype", "tcp"), ("addr_traddr", "0.0.0.0"),
                   ("addr_trsvcid", service), ("addr_tsas", security), ("addr_treq", required))]
        lines.append(f"ln -s $CONFIG/nvmet/{subsystem} subsystems/ || "
                     f"give_up 'port {service} cannot be opened'")
    return _FUNCTIONS + "\n".join(lines) + "\ncd /\nrm -f /conf/setup.sh\n"


def psk_files(psks):
    """psk_files returns {name below /conf: contents}; init.sh puts the keys into the keyring."""
    files = {}
    for number, psk in enumerate(psks):
        files[f"psk/{number}.name"] = psk["name"]
        files[f"psk/{number}.identity"] = psk["identity"]
        files[f"psk/{number}.key"] = bytes.fromhex(psk["tls_psk"])
    return files


def guest_files(profile):
    """guest_files returns {name below /conf: contents} for a guest that is the target."""
    return {"setup.sh": setup_script(profile), **psk_files(profile["psks"])}
