# SPDX-License-Identifier: BSD-3-Clause
"""Secrets as the user gives them: from an option, a file, the environment or a file descriptor.

The engine is the judge of a secret's text; it is checked here too, because only here is known where it came from.
"""

import base64
import binascii
import os
import stat
import string
import zlib
from dataclasses import dataclass

from .errors import UsageError
from .redaction import fingerprint

LARGEST_FILE = 4096
LENGTHS = (32, 48, 64)
PREFIX = {"dhchap": "DHHC-1:", "psk": "NVMeTLSkey-1:"}
HASHES = {"dhchap": ("00", "01", "02", "03"), "psk": ("00", "01", "02")}
PSK_LENGTHS = (32, 48)
ELSEWHERE = ("@", "fd:")  # a value that begins so names where the secret is
BASE64 = set(string.ascii_letters + string.digits + "+/")


@dataclass(frozen=True)
class Secret:
    """Secret is a checked secret text and the option that gives it again without showing it ("" for a plain value)."""

    text: str
    value: bytes
    origin: str
    again: tuple = ()

    def __repr__(self):
        return f"<secret {fingerprint(self.value)} from {self.origin}>"


def parse(text, kind, where):
    """parse returns the bytes of a DHHC-1 secret (kind "dhchap") or an NVMeTLSkey-1 PSK (kind "psk").

    UsageError names the character, the length or the CRC at fault and shows nothing of the secret (Base 2.2, 8.3.4.5.8;
    TCP 1.0, 3.6.1.5).
    """
    prefix = PREFIX[kind]

    def wrong(what):
        return UsageError(f"{where}: {what}; expected {prefix}hh:<base64 of the secret and its CRC-32>:")

    if not text:
        raise wrong("the secret is empty")
    if not text.startswith(prefix):
        raise wrong(f"character 1: does not begin with {prefix}")
    at = len(prefix)
    if text[at : at + 2] not in HASHES[kind] or text[at + 2 : at + 3] != ":":
        raise wrong(f"character {at + 1}: the hash is not one of {', '.join(HASHES[kind])} followed by a colon")
    body = text[at + 3 :]
    at += 3
    digits = body.rstrip(":").rstrip("=")
    for i, char in enumerate(digits):
        if char not in BASE64:
            raise wrong(f"character {at + i + 1}: not a base64 character")
    if not body.endswith(":"):
        raise wrong(f"character {len(text) + 1}: the text ends without its last colon after {len(text)} characters")
    body = body[:-1]
    try:
        decoded = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"{len(body)} base64 characters are not whole groups of four with their padding") from None
    if base64.b64encode(decoded).decode("ascii") != body:
        raise wrong("the base64 text is not canonical")
    lengths = LENGTHS if kind == "dhchap" else PSK_LENGTHS
    value, crc = decoded[:-4], decoded[-4:]
    if len(value) not in lengths:
        some = ", ".join(str(n) for n in lengths)
        raise wrong(f"{max(len(value), 0)} bytes and a CRC after decoding, but a secret has one of {some} bytes")
    if zlib.crc32(value) != int.from_bytes(crc, "little"):
        raise wrong("the CRC-32 does not match the secret")
    return value


def load(value, kind, option):
    """load reads the secret that an option names (VALUE, @FILE, fd:N) and returns a Secret."""
    name = f"--{option}"
    if value.startswith("@"):
        return from_file(value[1:], kind, option)
    if value.startswith("fd:"):
        return _checked(_from_fd(value[3:], name), kind, f"{name} {value}", (name, value))
    return _checked(value.strip(), kind, name)


def from_file(path, kind, option):
    """from_file reads a secret from a file that only its owner can read."""
    where = f"secret file {path}"
    text = _one_line(read_private(path, where), where)
    return _checked(text, kind, where, (f"--{option}", f"@{path}"))


def from_environment(variable, kind):
    """from_environment returns the Secret in an environment variable, or None where it is unset or empty."""
    value = os.environ.get(variable)
    if not value:
        return None
    return _checked(value.strip(), kind, f"environment variable {variable}")


def read_private(path, where):
    """read_private returns the text of a small file; UsageError when others than its owner may read or write it."""
    try:
        with open(path, "rb", opener=_open_quickly) as file:
            mode = os.fstat(file.fileno()).st_mode
            refuse_shared(mode, path, f"{where}: is")
            if stat.S_ISDIR(mode):
                raise UsageError(f"{where}: is a directory")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}") from error
    return _text(data, where)


def refuse_shared(mode, path, where):
    """refuse_shared refuses a mode that lets the group or everybody at the secrets in the file."""
    if stat.S_ISREG(mode) and mode & 0o077:
        raise UsageError(f"{where} open to others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}")


def _open_quickly(path, flags):
    # O_NONBLOCK: a FIFO without a writer must not hang the command.
    return os.open(path, flags | os.O_NONBLOCK)


def _from_fd(number, name):
    where = f"{name} fd:{number}"
    try:
        with os.fdopen(int(number), "rb", closefd=False) as file:
            data = file.read(LARGEST_FILE + 1)
    except ValueError:
        raise UsageError(f"{where}: {number!r} is not the number of a file descriptor") from None
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}") from error
    return _one_line(_text(data, where), where)


def _text(data, where):
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{where}: longer than {LARGEST_FILE} bytes, which no secret is")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: byte {error.start + 1} is not ASCII") from None


def _one_line(text, where):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise UsageError(f"{where}: holds {len(lines)} lines of text; expected one secret")
    return lines[0]


def _checked(text, kind, where, again=()):
    return Secret(text, parse(text, kind, where), where, again)
