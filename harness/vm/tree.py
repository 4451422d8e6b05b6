# SPDX-License-Identifier: BSD-3-Clause
"""A kernel tree after make: where its image, modules and configuration are."""

import os
from dataclasses import dataclass

from . import config
from .errors import EXIT_CANNOT_JUDGE, EXIT_USAGE, GateError

_X86_IMAGE, _UML_IMAGE = "arch/x86/boot/bzImage", "linux"


@dataclass(frozen=True)
class Tree:
    """Tree is what a build left: paths, and whether the image is a User-Mode Linux."""
    image: str
    modules: list
    config: str
    release: str
    uml: bool


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _outputs(directory):
    """_outputs lists where the build of a source tree can have gone: the O= of its own convention.

    An output directory has a link "source" back to the tree.
    """
    found = [directory]
    if named := os.environ.get("KBUILD_OUTPUT"):
        found.append(os.path.join(directory, named))
    for name in sorted(os.listdir(directory)):
        link = os.path.join(directory, name, "source")
        if os.path.islink(link) and os.path.realpath(link) == os.path.realpath(directory):
            found.append(os.path.join(directory, name))
    return {os.path.realpath(path): path for path in reversed(found)}.values()


def _image(output, options):
    """_image returns the image that the last build made, or None."""
    names = [_UML_IMAGE] if options.get("UML") == "y" else [_X86_IMAGE, "vmlinux"]
    found = [path for path in (os.path.join(output, name) for name in names) if os.path.isfile(path)]
    # make vmlinux leaves an old bzImage behind.
    return max(found, key=os.path.getmtime, default=None)


def _modules(output):
    """_modules lists the modules of the build; without them the tree has none, or all are built in."""
    listed = _read(os.path.join(output, "modules.order")) or ""
    return [os.path.join(output, os.path.splitext(line)[0] + ".ko") for line in listed.split()]


def find(directory):
    """find returns the Tree below directory: a tree built in place, its O= directory, or the tree of that."""
    if not os.path.isdir(directory):
        raise GateError(f"--tree {directory}: no such directory", EXIT_USAGE)
    built = []
    for output in _outputs(directory):
        text = _read(os.path.join(output, ".config"))
        options = config.parse(text or "")
        image = _image(output, options) if text is not None else None
        if image:
            built.append(Tree(image, _modules(output), os.path.join(output, ".config"),
                              (_read(os.path.join(output, "include/config/kernel.release")) or "").strip(),
                              options.get("UML") == "y"))
    if not built:
        raise GateError(f"--tree {directory}: no .config with {_X86_IMAGE}, vmlinux or (ARCH=um) {_UML_IMAGE} "
                        "beside it; build it, or name the O= directory of the build", EXIT_USAGE)
    if len(built) > 1:
        where = ", ".join(os.path.dirname(each.config) for each in built)
        raise GateError(f"--tree {directory}: built more than once; name one of {where}", EXIT_USAGE)
    return built[0]


def check_release(tree, release):
    """check_release raises GateError when the image is older than what the tree is configured for."""
    if tree.release and tree.release != release:
        raise GateError(f"{tree.image} is kernel {release}, but the tree is at {tree.release}; "
                        "build it again", EXIT_CANNOT_JUDGE)
