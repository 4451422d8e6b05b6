# SPDX-License-Identifier: BSD-3-Clause
"""A writer of "newc" cpio archives, the form the kernel unpacks as its first root file system.

Written by hand so that device nodes and root's ownership need neither root nor a cpio program,
and so that equal input gives equal bytes.
"""

import stat

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Archive:
    """Archive collects members and gives the bytes of one newc archive, padded to 512."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._directories = set()

    def _member(self, name, mode, data=b"", links=1, device=(0, 0)):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = _MAGIC + b"".join(b"%08X" % field for field in fields)
        self._parts += [header, encoded, bytes(-(len(header) + len(encoded)) % 4),
                        data, bytes(-len(data) % 4)]

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            self.directory("/".join(parts[:depth]))

    def directory(self, name, mode=0o755):
        """directory adds a directory and those above it; adding one twice changes nothing."""
        name = name.strip("/")
        if name and name not in self._directories:
            self._parents(name)
            self._directories.add(name)
            self._member(name, stat.S_IFDIR | mode, links=2)

    def file(self, name, data, mode=0o644):
        """file adds a regular file with the given bytes."""
        name = name.strip("/")
        self._parents(name)
        self._member(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        """symlink adds a symbolic link to target."""
        name = name.strip("/")
        self._parents(name)
        self._member(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor, mode=0o600):
        """character_device adds a device node; init needs /dev/console before devtmpfs is there."""
        name = name.strip("/")
        self._parents(name)
        self._member(name, stat.S_IFCHR | mode, device=(major, minor))

    def finish(self):
        """finish returns the archive's bytes. The object must not be used afterwards."""
        self._inode = -1
        self._member(_TRAILER, 0)
        data = b"".join(self._parts)
        return data + bytes(-len(data) % 512)


def join(data):
    """join makes one archive of archives that follow one another: all trailers but the last are left out.

    The kernel reads both; programs that unpack an archive stop at its first trailer. Hard links are not used here, so
    that equal inode numbers of different parts mean nothing.
    """
    parts, position = [], 0
    while position < len(data):
        name_len, file_len = int(data[position + 94:position + 102], 16), int(data[position + 54:position + 62], 16)
        body = position + 110 + name_len
        body += -body % 4
        end = body + file_len
        end += -end % 4
        if data[position + 110:position + 110 + len(_TRAILER)] == _TRAILER.encode():
            trailer = data[position:end]
            end += -end % 512
        else:
            parts.append(data[position:end])
        position = end
    joined = b"".join(parts) + trailer
    return joined + bytes(-len(joined) % 512)
