from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.errors import ReportError
from signoff.storage import write_file, write_files

_UNSHARE = shutil.which("unshare") or ""
_MAY_MOUNT = (
    bool(_UNSHARE)
    and not subprocess.run([_UNSHARE, "-rm", "true"], check=False, capture_output=True).returncode
)

_WRITE_TWO = (
    "import sys; from pathlib import Path; from signoff.storage import write_files\n"
    "from signoff.errors import ReportError\n"
    "folder = Path(sys.argv[1])\n"
    "write_files(folder, {'small': b'first', 'large': b'first'}, lost='the report')\n"
    "try: write_files(folder, {'small': b'second', 'large': bytes(int(sys.argv[2]))}, lost='the report')\n"
    "except ReportError as error: print(error)\n"
    "print(sorted((path.name, path.read_text()) for path in folder.iterdir()))\n"
)


def test_files_are_written_with_their_parents(tmp_path: Path) -> None:
    """The folder and its parents are made, and nothing but the files is left in it."""
    folder = tmp_path / "staging" / "1.2.0"
    write_files(folder, {"a": b"one", "b": b"two"}, lost="the report")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"one", "b": b"two"}


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """A reader that opened the earlier file keeps all of it; a new reader gets all of the new one."""
    path = tmp_path / "record.json"
    write_file(path, b"earlier", lost="the record")
    with path.open("rb") as reader:
        write_file(path, b"new", lost="the record")
        assert reader.read() == b"earlier"
    assert path.read_bytes() == b"new"


def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """Reports can be read by whom the user's umask lets read."""
    write_file(tmp_path / "report", b"", lost="the report")
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_file_beyond_the_size_limit_changes_nothing(tmp_path: Path) -> None:
    """When one file cannot be written whole, all files stay as they were and the error names it."""
    told = subprocess.run(
        [
            "/bin/bash",
            "-c",
            'ulimit -f 8 && exec "$0" -c "$1" "$2" 1000000',
            sys.executable,
            _WRITE_TWO,
            tmp_path,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{tmp_path}/large: got File too large while writing; the report is lost" in told
    assert "Raise the limit" in told
    assert "[('large', 'first'), ('small', 'first')]" in told


@pytest.mark.skipif(not _MAY_MOUNT, reason="needs user namespaces to mount a small file system (unshare -rm)")
def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """On a full disk all files stay as they were; the error says what is lost and to free space."""
    mounted = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$0" -c "$1" {tmp_path} 1000000'
    told = subprocess.run(
        [_UNSHARE, "-rm", "/bin/bash", "-c", mounted, sys.executable, _WRITE_TWO],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{tmp_path}/large: got No space left on device while writing; the report is lost" in told
    assert "Free space on that file system" in told
    assert "[('large', 'first'), ('small', 'first')]" in told


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A path through a plain file is an error with the four parts."""
    (tmp_path / "reports").write_text("not a folder")
    with pytest.raises(ReportError) as caught:
        write_file(tmp_path / "reports" / "run" / "record.json", b"", lost="the record")
    assert caught.value.got == "Not a directory while writing; the record is lost"
    assert (tmp_path / "reports").read_text() == "not a folder"
