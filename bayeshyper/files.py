"""Writing files so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["destination", "leads_nowhere", "remove_unfinished", "replacing", "write_atomically"]

# What a file system answers that cannot flush a folder; any other answer is a fault.
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)


def write_atomically(path: Path, content: bytes) -> None:
    """Write all of a file, or leave the old one as it is.

    Raises:
        OSError: As `replacing` does.
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file to fill, beside ``path``; when the block ends well, it takes that place.

    By then it is on the disk, and so is its name: after a power cut there is the old file or the new one.
    Where ``path`` is a link, it stays one, and what it leads to is replaced. Who may read the old file, may
    read the new one, and nobody else.

    Raises:
        OSError: As `destination` does; or the folder is missing or the disk is full. It names ``path``, where
            an old file is untouched.
    """
    path = destination(path)
    temporary = path.with_name(f"{_beginning(path)}{secrets.token_hex(8)}.tmp")
    try:
        # Made by open itself, it gets the rights that any new file gets; asking for the process's umask
        # would change it for the other threads.
        with open(temporary, "xb") as file:
            if path.exists():
                shutil.copymode(path, temporary)  # before there is anything to read
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):  # a full disk names none
            error.filename = str(path)
            del error.filename2  # os.replace names both
        raise
    _flush_folder(path.parent)


def leads_nowhere(path: Path) -> bool:
    """Whether it is a link to what there is not: nothing is written through it, as `cp` does not."""
    return path.is_symlink() and not path.exists()


def destination(path: Path) -> Path:
    """The file that writing to ``path`` replaces: of a link, the one that it leads to.

    Raises:
        OSError: The link leads nowhere, or there is something else than a file.
    """
    if leads_nowhere(path):
        raise FileNotFoundError(errno.ENOENT, "It is a link that leads to nothing", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "It is no regular file", str(path))
    return path.resolve() if path.is_symlink() else path


def remove_unfinished(path: Path) -> None:
    """Remove what `replacing` left beside ``path`` when its process was killed.

    Nobody may be writing there.
    """
    for left in path.parent.glob(f"{glob.escape(_beginning(path))}{'[0-9a-f]' * 16}.tmp"):
        left.unlink(missing_ok=True)


def _beginning(path: Path) -> str:
    """Of the name of a file that will be renamed: with all of it, the longest name has no room for more."""
    return f".{path.name[:24]}.{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}."


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # where folders cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)
