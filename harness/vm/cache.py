# SPDX-License-Identifier: BSD-3-Clause
"""The directory that outlives a run: packages by SHA-256, and what was made of them.

    packages/SHA256.deb     as downloaded
    sets/NAME.json          which packages a kernel or a program set consists of
    built/NAME/             unpacked kernels and finished archives; appear whole or not at all
    apt/                    the private apt root
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time

from .errors import GateError

LOCK_SECONDS = 900


def default_directory():
    """default_directory returns ${XDG_CACHE_HOME:-~/.cache}/nvme-conform."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "nvme-conform")


def sha256_file(path):
    """sha256_file returns the SHA-256 of the file at path as hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class Cache:
    """Cache is one cache directory; several processes may use it at once."""

    def __init__(self, directory=None):
        self.directory = os.path.abspath(directory or default_directory())
        try:
            for name in ("packages", "sets", "built"):
                os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        except OSError as error:
            raise GateError(f"cannot use the cache directory {self.directory}: {error.strerror}; "
                            "name another with --cache DIR") from error

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @contextlib.contextmanager
    def locked(self):
        """locked holds the cache's lock, so that two gates do not fetch or build the same thing."""
        with open(self.path("lock"), "a", encoding="ascii") as lock:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise GateError(f"another gate has held {self.path('lock')} for "
                                        f"{LOCK_SECONDS} s; wait for it or name another --cache") \
                            from None
                    time.sleep(0.1)
            yield

    def add_package(self, path):
        """add_package moves the file at path into the cache and returns its SHA-256."""
        digest = sha256_file(path)
        os.replace(path, self.package(digest))
        return digest

    def package(self, digest):
        return self.path("packages", digest + ".deb")

    def remove_package(self, digest):
        """remove_package takes a package out of the cache again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.package(digest))

    def checked_package(self, entry):
        """checked_package returns the file of a set's entry, after comparing its checksum."""
        path = self.package(entry["sha256"])
        if not os.path.exists(path):
            raise GateError(f"{entry['file']} is missing from the cache {self.directory}; "
                            "delete its sets directory and run again with network access")
        if sha256_file(path) != entry["sha256"]:
            raise GateError(f"{path} ({entry['file']}) is corrupt: its SHA-256 is not its name; "
                            "delete it and run again with network access")
        return path

    def read_set(self, name):
        """read_set returns the entries of a set whose packages are all there, else None."""
        try:
            with open(self.path("sets", name + ".json"), encoding="utf-8") as file:
                entries = json.load(file)["packages"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            raise GateError(f"{self.path('sets', name + '.json')} is damaged; delete it") from error
        if all(os.path.exists(self.package(entry["sha256"])) for entry in entries):
            return entries
        return None

    def write_set(self, name, entries):
        """write_set records the packages of a set."""
        path = self.path("sets", name + ".json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"packages": entries}, file, indent=1)
            file.write("\n")
        os.replace(path + ".new", path)

    def build(self, name, make):
        """build returns built/NAME, calling make(DIR) to fill it when it does not exist yet."""
        final = self.path("built", name)
        if os.path.isdir(final):
            return final
        with self.locked():
            if os.path.isdir(final):
                return final
            work = tempfile.mkdtemp(prefix=".new-", dir=self.path("built"))
            try:
                make(work)
                os.chmod(work, 0o755)
                os.rename(work, final)
            except OSError as error:
                raise GateError(f"cannot write {final}: {error.strerror or error}") from error
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return final


def short_hash(*parts):
    """short_hash names a build by everything that went into it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
