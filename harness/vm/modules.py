# SPDX-License-Identifier: BSD-3-Clause
"""Which modules the guest loads, and in which order.

Debian's packages carry no modules.dep (depmod makes it at installation), so dependencies are read
from the modules themselves. Some are asked for by name at run time and are in no depends= line;
WANTED lists those too.
"""

import gzip
import lzma
import os
import re
import subprocess

from . import fetch
from .errors import EXIT_CANNOT_JUDGE, EXIT_USAGE, GateError

# In order of loading. Those that a kernel has built in, or does not know, are left out.
WANTED = ("ghash_generic", "ghash", "ctr", "sha512", "sha512_generic", "sha256", "hmac",
          "df_sp80090a", "drbg", "gcm", "dh_generic", "configfs", "failover", "net_failover",
          "virtio_pci", "virtio_console", "virtio_net", "handshake", "tls", "hkdf",
          "nvme_auth", "nvme_keyring", "nvme_core", "nvmet", "nvmet_tcp",
          "nvme_fabrics", "nvme_tcp")

# The option that must have produced a module when it says =m; checked after resolve().
_MODULE_OF = {"NVME_TARGET_TCP": "nvmet_tcp", "NVME_TARGET": "nvmet", "NVME_TCP": "nvme_tcp",
              "TLS": "tls", "CRYPTO_GCM": "gcm", "VIRTIO_NET": "virtio_net",
              "VIRTIO_CONSOLE": "virtio_console",
              "CONFIGFS_FS": "configfs"}
_NAME = re.compile(r"^(.+)\.ko(?:\.(xz|zst|gz))?$")
HOST_ONLY = ("nvme_fabrics", "nvme_tcp")


def is_module(base):
    return bool(_NAME.match(base))


def _canonical(name):
    return name.replace("-", "_")


def _unpack(data, packing):
    if packing == "xz":
        return lzma.decompress(data)
    if packing == "gz":
        return gzip.decompress(data)
    if packing == "zst":
        program = fetch.need_program("zstd", "zstd")
        return subprocess.run([program, "-dcq"], input=data, capture_output=True, check=True,
                              timeout=60).stdout
    return data


def information(data, key):
    """information returns the value of a key of a module's .modinfo, or None."""
    found = re.search(rb"\0" + key.encode() + rb"=([^\0]*)\0", data)
    return found.group(1).decode(errors="replace") if found else None


class Store:
    """Store holds modules by name, compressed as they came, and unpacks what is asked for."""

    def __init__(self):
        self._packed = {}
        self._paths = {}

    def add(self, base, data):
        name, packing = _NAME.match(base).groups()
        self._packed[_canonical(name)] = (data, packing)

    def add_tree(self, directory):
        """add_tree takes every module below directory (make modules_install, or a build tree)."""
        if not os.path.isdir(directory):
            raise GateError(f"{directory}: no such directory of modules", EXIT_USAGE)
        for top, _, files in os.walk(directory):
            self.add_files(os.path.join(top, base) for base in sorted(files))

    def add_files(self, paths):
        """add_files takes those of the paths that name modules."""
        for path in paths:
            match = _NAME.match(os.path.basename(path))
            if match:
                self._paths.setdefault(_canonical(match.group(1)), (path, match.group(2)))

    def fingerprint(self):
        """fingerprint changes when a module of the tree is replaced."""
        return [f"{path} {os.stat(path).st_mtime_ns} {os.stat(path).st_size}"
                for path, _ in sorted(self._paths.values())]

    def __contains__(self, name):
        return name in self._packed or name in self._paths

    def read(self, name):
        """read returns the unpacked module, its signature included."""
        try:
            if name in self._packed:
                return _unpack(*self._packed[name])
            path, packing = self._paths[name]
            with open(path, "rb") as file:
                return _unpack(file.read(), packing)
        except (lzma.LZMAError, OSError, EOFError, subprocess.CalledProcessError) as error:
            raise GateError(f"module {name} cannot be read ({error})", EXIT_CANNOT_JUDGE) from error


def resolve(store, options, release):
    """resolve returns [(name, bytes)] in the order of loading: the wanted and what they need.

    options are those of the kernel (may be empty when unknown): a driver configured as a module but
    absent from the store, or built for another kernel, is an error.
    """
    missing = [module for option, module in _MODULE_OF.items()
               if options.get(option) == "m" and module not in store]
    if missing:
        raise GateError(f"kernel {release}: modules missing: {', '.join(missing)}; "
                        "give their directory with --modules", EXIT_CANNOT_JUDGE)
    loaded, done = [], set()

    def load(name):
        if name in done or name not in store:
            return
        done.add(name)
        data = store.read(name)
        for other in (information(data, "depends") or "").split(","):
            load(_canonical(other))
        magic = (information(data, "vermagic") or release).split()[0]
        if magic != release:
            raise GateError(f"module {name} is for kernel {magic}, the image is {release}",
                            EXIT_CANNOT_JUDGE)
        loaded.append((name, data))

    for name in WANTED:
        load(name)
    return loaded
