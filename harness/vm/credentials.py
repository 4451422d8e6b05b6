# SPDX-License-Identifier: BSD-3-Clause
"""Throw-away secrets for one run, and the keys that a configured PSK turns into.

Nothing here protects anything: the guest dies with the run. The derivations are written out with
hashlib and hmac, apart from lib/crypto, so that both ends of a run do not share one mistake.
"""

import base64
import hashlib
import hmac
import uuid
import zlib

HASH_NAMES = {1: "sha256", 2: "sha384", 3: "sha512"}
GROUP_NAMES = {0: "null", 1: "ffdhe2048", 2: "ffdhe3072", 3: "ffdhe4096", 4: "ffdhe6144",
               5: "ffdhe8192"}
SECRET_LENGTHS = (32, 48, 64)


class Generator:
    """Generator turns one seed into as many independent values as are asked for by label."""

    def __init__(self, seed):
        self._seed = seed

    def octets(self, label, length):
        return hashlib.shake_256(len(self._seed).to_bytes(4, "big") + self._seed
                                 + label.encode()).digest(length)

    def host(self, label):
        """host returns (host NQN, host identifier) of a new identity."""
        value = uuid.UUID(bytes=self.octets("host " + label, 16), version=4)
        return f"nqn.2014-08.org.nvmexpress:uuid:{value}", str(value)


def _with_crc(data):
    return base64.b64encode(data + zlib.crc32(data).to_bytes(4, "little")).decode()


def dhchap_secret(secret, transform):
    """dhchap_secret is the text of a secret: DHHC-1:hh:base64: (Base 2.2 8.3.4.5.8)."""
    return f"DHHC-1:{transform:02x}:{_with_crc(secret)}:"


def psk_interchange(psk, retained_hash):
    """psk_interchange is the text of a configured PSK: NVMeTLSkey-1:hh:base64: (TCP 3.6.1)."""
    return f"NVMeTLSkey-1:{retained_hash:02x}:{_with_crc(psk)}:"


def _expand_label(key, label, context, length, name):
    """_expand_label is HKDF-Expand-Label over HKDF-Extract with a salt of zeroes (RFC 8446 7.1)."""
    prk = hmac.digest(bytes(hashlib.new(name).digest_size), key, name)
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), name)
        out, counter = out + block, counter + 1
    return out[:length]


def retained_psk(psk, retained_hash, hostnqn):
    """retained_psk is the PSK that the host and subsystem keep; hash 0 keeps it as it is."""
    if retained_hash == 0:
        return psk
    return _expand_label(psk, b"HostNQN", hostnqn.encode(), len(psk), HASH_NAMES[retained_hash])


def psk_identity(retained, cipher_hash, version, hostnqn, subnqn):
    """psk_identity returns the TLS identity of a retained PSK and the context of its TLS PSK."""
    if version == 0:
        identity = f"NVMe0R{cipher_hash:02d} {hostnqn} {subnqn}"
        return identity, identity.encode()
    text = f"{hostnqn} {subnqn} NVMe-over-Fabrics".encode()
    digest = base64.b64encode(hmac.digest(retained, text, HASH_NAMES[cipher_hash])).decode()
    return (f"NVMe1R{cipher_hash:02d} {hostnqn} {subnqn} {digest}",
            f"{cipher_hash:02d} {digest}".encode())


def tls_psk(retained, cipher_hash, context):
    """tls_psk is what TLS itself uses as the external PSK."""
    name = HASH_NAMES[cipher_hash]
    return _expand_label(retained, b"nvme-tls-psk", context, hashlib.new(name).digest_size, name)
