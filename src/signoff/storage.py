"""Writing the files of a run so that a reader never sees half of one.

Each file is written under a temporary name in its own folder, flushed to the disk, and then put in
its place in one step. Until that step the earlier content stays as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from signoff.errors import ReportError

_NEXT_STEPS = {
    errno.ENOSPC: "Free space on that file system and run again.",
    errno.EDQUOT: "Raise the disk quota of this user, or free space, and run again.",
    errno.EFBIG: "Raise the limit on the size of files of this process and run again.",
    errno.EROFS: "Mount the file system writable, or choose another folder for reports.",
    errno.EACCES: "Give this user the right to write there, or choose another folder for reports.",
    errno.EPERM: "Give this user the right to write there, or choose another folder for reports.",
}


def write_files(directory: Path, contents: Mapping[str, bytes], *, lost: str) -> None:
    """Write several files of one folder; the first is put in place when all are on the disk.

    Args:
        directory: the folder; it and its parents are made when they do not exist.
        contents: the content of each file by its name.
        lost: what is lost when this fails, for instance ``the record of this run``.

    Raises:
        ReportError: a file cannot be written; the message names it and what is lost.
    """
    staged: dict[Path, Path] = {}
    current = directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            current = directory / name
            temporary = directory / f".{name}.{os.getpid()}-{token_hex(4)}.part"
            staged[current] = temporary
            _write_through(temporary, content)
        for current, temporary in staged.items():
            temporary.replace(current)
        _flush(directory)
    except OSError as exc:
        raise ReportError(
            str(current),
            got=f"{exc.strerror or exc} while writing; {lost} is lost",
            expected="the whole file written",
            next_step=_NEXT_STEPS.get(exc.errno or 0, "See that the folder exists and can be written to."),
        ) from exc
    finally:
        for temporary in staged.values():
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_file(path: Path, content: bytes, *, lost: str) -> None:
    """Write one file; see `write_files`."""
    write_files(path.parent, {path.name: content}, lost=lost)


def _write_through(path: Path, content: bytes) -> None:
    # Opened exclusively, with the permissions that the user's umask gives to any other new file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
