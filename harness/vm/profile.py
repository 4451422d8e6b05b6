# SPDX-License-Identifier: BSD-3-Clause
"""What a run needs to know about its target: identities, secrets, ports. docs/profile.md says it
in full; the engine reads the file, nvmet.py configures the guest from the same object."""

import json
import os

from .credentials import (GROUP_NAMES, HASH_NAMES, SECRET_LENGTHS, Generator, dhchap_secret,
                          psk_identity, psk_interchange, retained_psk, tls_psk)

FORMAT = "nvme-conform-profile/1"
SUBNQN = "nqn.2014-08.org.nvmexpress:nvme-conform:gate"


def _host(generator, name, purpose, hash_id, group, **secrets):
    """_host makes an identity; secrets are one (transform, length) per key, or none."""
    hostnqn, hostid = generator.host(name)
    entry = {"name": name, "purpose": purpose, "hostnqn": hostnqn, "hostid": hostid,
             "hash": hash_id, "dhgroup": group, "dhchap_secret": None, "dhchap_ctrl_secret": None}
    for field, (transform, length) in secrets.items():
        entry[field] = dhchap_secret(generator.octets(f"{field} {name}", length), transform)
    return entry


def _matrix(generator):
    for hash_id, hash_name in HASH_NAMES.items():
        for group, group_name in GROUP_NAMES.items():
            # One form of secret throughout, so that a failure points at the hash or the group.
            for way in ("one-way", "two-way"):
                secrets = {"dhchap_secret": (1, 32)}
                if way == "two-way":
                    secrets["dhchap_ctrl_secret"] = (1, 32)
                yield _host(generator, f"{hash_name}-{group_name}-{way}", "matrix", hash_id, group,
                            **secrets)


def _forms(generator):
    for transform in (0, *HASH_NAMES):
        for length in SECRET_LENGTHS:
            yield _host(generator, f"secret-{transform:02d}-{length}", "secret-form", 1, 1,
                        dhchap_secret=(transform, length), dhchap_ctrl_secret=(transform, length))


def _psks(generator, host, subnqn):
    """_psks configures one PSK per cipher hash for a host, known under both identity versions."""
    for cipher_hash, length in ((1, 32), (2, 48)):
        psk = generator.octets(f"psk {host['name']} {cipher_hash}", length)
        retained = retained_psk(psk, cipher_hash, host["hostnqn"])
        for version in (0, 1):
            identity, context = psk_identity(retained, cipher_hash, version, host["hostnqn"],
                                             subnqn)
            yield {"name": f"{host['name']}-v{version}-{cipher_hash:02d}",
                   "hostnqn": host["hostnqn"], "hash": cipher_hash, "version": version,
                   "interchange": psk_interchange(psk, cipher_hash), "identity": identity,
                   "tls_psk": tls_psk(retained, cipher_hash, context).hex()}


def make(seed, subnqn=SUBNQN):
    """make returns a profile without address and ports. Equal seeds (bytes), equal profiles."""
    generator = Generator(seed)
    psk_hosts = [_host(generator, "psk", "psk", None, None),
                 _host(generator, "psk-secret", "psk", 1, 1, dhchap_secret=(1, 32),
                       dhchap_ctrl_secret=(1, 32))]
    return {"format": FORMAT, "target": {}, "subnqn": subnqn, "addr": None, "ports": {},
            "hosts": [_host(generator, "default", "default", 1, 0, dhchap_secret=(1, 32)),
                      _host(generator, "no-secret", "no-secret", None, None),
                      *_matrix(generator), *_forms(generator), *psk_hosts],
            "psks": [psk for host in psk_hosts for psk in _psks(generator, host, subnqn)]}


def without(profile, rejected):
    """without moves the entries whose names are in rejected to profile["rejected"]."""
    profile["rejected"] = sorted(rejected)
    for kind in ("hosts", "psks"):
        profile[kind] = [entry for entry in profile[kind] if entry["name"] not in rejected]


def write(profile, path):
    """write stores a profile; only its owner can read it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(profile, file, indent=1)
        file.write("\n")
