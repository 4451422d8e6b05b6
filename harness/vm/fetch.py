# SPDX-License-Identifier: BSD-3-Clause
"""Debian packages from the machine's own mirror, signature-verified, the system left alone.

apt does the work in a private root below the cache: its own sources, lists and (empty) status file.
The chain is InRelease's signature, the index's checksum, the package's SHA-256. The exception is
modules of 6.19 to 7.1: no index names them any more, the pool still has them. They are marked
"modules-signature" and the kernel itself refuses them if they are not Debian's (kernel.py).
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.parse

from . import sources
from .cache import sha256_file
from .errors import EXIT_USAGE, GateError

KERNEL_SUITE = "trixie-backports"
PROGRAM_SUITE = "forky"
KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp")
APT_HELPER = "/usr/lib/apt/apt-helper"
UPDATE_SECONDS = 180
DOWNLOAD_SECONDS = 900

BY_INDEX = "apt"
BY_MODULE_SIGNATURE = "modules-signature"
UNVERIFIED = "none"


def need_program(name, package):
    """need_program returns the path of a program, or says which package has it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise GateError(f"{name} is missing: apt-get install {package}")
    return path


def last_error(text):
    """last_error picks the first line of apt's own that names an error."""
    lines = [line for line in text.splitlines() if line.startswith(("E:", "Err:"))]
    return lines[0].partition(":")[2].strip() if lines else text.strip().splitlines()[-1:] or ""


class Apt:
    """Apt fetches packages into a cache. Nothing is contacted before it is needed."""

    def __init__(self, cache, mirror=None, offline=False):
        self.cache = cache
        self.root = cache.path("apt")
        self._mirror = mirror
        self.offline = offline
        self._updated = False

    def mirror(self):
        if not self._mirror:
            self._mirror = sources.debian_mirror(sources.read_machine())
        if not self._mirror:
            raise GateError("no Debian archive among this machine's apt sources; name one with "
                            "--mirror URI", EXIT_USAGE)
        return self._mirror

    def _write_configuration(self):
        keyring = next((path for path in KEYRINGS if os.path.exists(path)), None)
        if not keyring:
            raise GateError("Debian's archive keys are missing: "
                            "apt-get install debian-archive-keyring")
        for name in ("etc/none", "state/lists/partial", "cache/archives/partial", "log"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        with open(os.path.join(self.root, "etc/sources.list"), "w", encoding="ascii") as file:
            for suite in (KERNEL_SUITE, PROGRAM_SUITE):
                file.write(f"deb [signed-by={keyring}] {self.mirror()} {suite} main\n")
        with open(os.path.join(self.root, "state/status"), "w", encoding="ascii"):
            pass
        lines = [f'Dir "{self.root}";', 'Dir::Etc "etc";', 'Dir::Etc::sourcelist "sources.list";',
                 'Dir::State "state";', f'Dir::State::status "{self.root}/state/status";',
                 'Dir::Cache "cache";', 'Dir::Log "log";',
                 'APT::Architecture "amd64";', 'APT::Architectures { "amd64"; };',
                 'APT::Install-Recommends "false";', 'APT::Update::Error-Mode "any";',
                 'Acquire::Languages "none";', 'Acquire::Retries "2";',
                 'Acquire::ForceHash "SHA256";',
                 # A testing suite's InRelease can be past its date; signatures are still checked.
                 'Acquire::Check-Valid-Until "false";']
        lines += [f'Dir::Etc::{name} "none";' for name in
                  ("sourceparts", "parts", "preferencesparts", "trusted", "trustedparts")]
        if os.geteuid() == 0:
            lines.append('APT::Sandbox::User "root";')
        path = os.path.join(self.root, "apt.conf")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as file:
            file.write("\n".join(lines + self._proxies()) + "\n")

    @staticmethod
    def _proxies():
        """_proxies repeats the machine's own proxy settings, which the private root hides."""
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False,
                              timeout=30)
        return [line for line in dump.stdout.splitlines()
                if re.match(r"Acquire::(http|https)::(Proxy|.*::Proxy|Proxy-Auto-Detect)\b", line)]

    def _run(self, argv, seconds):
        environment = dict(os.environ, LC_ALL="C",
                           APT_CONFIG=os.path.join(self.root, "apt.conf"))
        try:
            return subprocess.run(argv, capture_output=True, text=True, check=False,
                                  timeout=seconds, env=environment, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise GateError(f"{argv[0]} gave no result in {seconds} s; is the mirror "
                            f"{self.mirror()} reachable?") from None

    def update(self):
        """update reads the indexes of both suites, once per object."""
        if self._updated:
            return
        need_program("apt-get", "apt")
        self._write_configuration()
        done = self._run(["apt-get", "update", "-q"], UPDATE_SECONDS)
        if done.returncode:
            raise GateError(f"cannot read {KERNEL_SUITE} and {PROGRAM_SUITE} from {self.mirror()} "
                            f"({last_error(done.stderr + done.stdout)}); what the cache "
                            f"{self.cache.directory} already holds works without network")
        self._updated = True

    def known_packages(self, prefix):
        """known_packages lists the package names of both suites that begin with prefix."""
        self.update()
        return self._run(["apt-cache", "pkgnames", prefix], 60).stdout.split()

    def _uris(self, argv):
        done = self._run(argv, 120)
        if done.returncode:
            raise GateError(f"{argv[-1]}: {last_error(done.stderr)} (mirror {self.mirror()})")
        pattern = re.compile(r"^'([^']+)' (\S+) (\d+) SHA256:([0-9a-f]{64})$", re.M)
        found = [{"file": urllib.parse.unquote(name), "uri": uri, "sha256": digest,
                  "verified": BY_INDEX} for uri, name, _, digest in pattern.findall(done.stdout)]
        if not found:
            raise GateError(f"apt named no file for {' '.join(argv[-3:])} (mirror {self.mirror()})")
        return found

    def resolve(self, names):
        """resolve returns set entries for exactly the named packages."""
        self.update()
        return self._uris(["apt-get", "download", "-q", "--print-uris", *names])

    def resolve_closure(self, names):
        """resolve_closure returns set entries for the named packages and all they depend on."""
        self.update()
        return self._uris(["apt-get", "install", "-q", "-y", "-t", PROGRAM_SUITE, "--print-uris",
                           *names])

    def pool_entry(self, source, package, version, verified):
        """pool_entry returns the entry of a package that no index names; it has no checksum yet."""
        name = f"{package}_{version}_amd64.deb"
        uri = f"{self.mirror()}/pool/main/{source[0]}/{source}/{urllib.parse.quote(name, '+~')}"
        return {"file": name, "uri": uri, "sha256": None, "verified": verified}

    def download(self, entries):
        """download brings every entry into the cache and fills in missing checksums."""
        for entry in entries:
            if entry["sha256"] and os.path.exists(self.cache.package(entry["sha256"])):
                continue
            with tempfile.TemporaryDirectory(dir=self.cache.path("packages")) as work:
                path = os.path.join(work, "package.deb")
                argv = [APT_HELPER, "download-file", entry["uri"], path]
                if entry["sha256"]:
                    argv.append("SHA256:" + entry["sha256"])
                done = self._run(argv, DOWNLOAD_SECONDS)
                if done.returncode or not os.path.exists(path):
                    raise GateError(f"cannot fetch {entry['uri']}: "
                                    f"{last_error(done.stderr + done.stdout)}")
                entry["sha256"] = self.cache.add_package(path)
        return entries


def fetch_set(apt, name, find):
    """fetch_set returns the entries of a set, calling find() for a set not in the cache yet."""
    cache = apt.cache
    entries = cache.read_set(name)
    if entries is None and apt.offline:
        raise GateError(f"{name} is not in the cache {cache.directory} and --offline forbids to "
                        "fetch it; run the same command with --fetch instead once")
    if entries is None:
        with cache.locked():
            entries = cache.read_set(name) or find()
            cache.write_set(name, entries)
    return entries


def entry_from_file(cache, path):
    """entry_from_file copies a package of the user's into the cache (gate --deb), and returns (its entry, was it new there)."""
    if not os.path.isfile(path):
        raise GateError(f"{path}: no such package file", EXIT_USAGE)
    with tempfile.TemporaryDirectory(dir=cache.path("packages")) as work:
        copy = os.path.join(work, "package.deb")
        shutil.copyfile(path, copy)
        is_new = not os.path.exists(cache.package(sha256_file(copy)))
        return {"file": os.path.basename(path), "uri": "file:" + os.path.abspath(path),
                "sha256": cache.add_package(copy), "verified": UNVERIFIED}, is_new


def members(path, label=None):
    """members yields (name without "./", TarInfo, bytes or None) for each member of a package.

    Only bytes are handed out, so a hostile package can write nowhere.
    """
    label = label or path
    need_program("dpkg-deb", "dpkg")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isreg() else None
                    name = member.name.removeprefix("./").lstrip("/")
                    yield name, member, file.read() if file else None
        except (tarfile.TarError, EOFError) as error:
            process.kill()
            detail = process.stderr.read().decode(errors="replace").strip().splitlines()
            raise GateError(f"{label} is corrupt ({detail[-1] if detail else error}); "
                            "fetch it again") from error
        except GeneratorExit:
            process.kill()
            raise
        process.stdout.read()
        detail = process.stderr.read().decode(errors="replace").strip()
        if process.wait():
            raise GateError(f"{label} is corrupt ({detail or 'dpkg-deb failed'}); fetch it again")
