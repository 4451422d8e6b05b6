# SPDX-License-Identifier: BSD-3-Clause
"""As much of ELF as is needed to find a program's libraries and a kernel's entry point."""

import struct

EM_X86_64 = 62
HEADER_BYTES = 64
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NEEDED, _DT_STRTAB = 1, 5
_XEN_PHYS32_ENTRY = 18
MACHINES = {3: "i386", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv", 21: "ppc64", 22: "s390"}


def is_elf(data):
    return data[:4] == b"\x7fELF"


def machine(data):
    """machine returns e_machine of an ELF file, whatever its byte order."""
    order = ">" if data[5] == 2 else "<"
    return struct.unpack_from(order + "H", data, 18)[0]


def _segments(data):
    """_segments yields (type, offset, address, size in the file) of a 64-bit little-endian ELF."""
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data,
                                                                 table + index * size)
        yield kind, offset, address, length


def whole(data):
    """whole tells whether data has all headers and segments of a 64-bit little-endian ELF; a file that was cut short has not."""
    try:
        return all(offset + length <= len(data) for _, offset, _, length in _segments(data))
    except (struct.error, OverflowError):    # a table beyond the end, or beyond any file
        return False


def _text(data, offset):
    return data[offset:data.index(b"\0", offset)].decode()


def needed(data):
    """needed returns the interpreter (or None) and the names of the libraries of a program."""
    segments = list(_segments(data))
    interpreter = next((_text(data, offset) for kind, offset, _, _ in segments
                        if kind == _PT_INTERP), None)
    names, strings = [], None
    for kind, offset, _, length in segments:
        if kind != _PT_DYNAMIC:
            continue
        for tag, value in struct.iter_unpack("<qQ", data[offset:offset + length]):
            if tag == _DT_NEEDED:
                names.append(value)
            elif tag == _DT_STRTAB:
                strings = value
    if strings is None:
        return interpreter, []
    for kind, offset, address, length in segments:
        if kind == _PT_LOAD and address <= strings < address + length:
            base = strings - address + offset
            return interpreter, [_text(data, base + name) for name in names]
    return interpreter, []


def has_pvh_entry(data):
    """has_pvh_entry tells whether QEMU can start this vmlinux directly (CONFIG_PVH)."""
    for kind, offset, _, length in _segments(data):
        position, end = offset, offset + length
        while kind == _PT_NOTE and position + 12 <= end:
            name_len, desc_len, note = struct.unpack_from("<III", data, position)
            name = data[position + 12:position + 12 + name_len]
            if name == b"Xen\0" and note == _XEN_PHYS32_ENTRY:
                return True
            position += 12 + (name_len + 3 & ~3) + (desc_len + 3 & ~3)
    return False
