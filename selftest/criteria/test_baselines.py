"""Baselines: stored before a change, read after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.baselines import Baselines
from signoff.errors import EvidenceError, Inconclusive, ReportError
from signoff.record import Evidence, Scalar

CONDITIONS: dict[str, Scalar] = {"sessions": 20_000, "server": "18.6"}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}

values = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner | st.none()) | st.dictionaries(st.text(), inner | st.none()),
    max_leaves=10,
)


def _baselines(
    reports: Path,
    environment: str = "local",
    runbook: str = "snapshot_backfill",
    observe: Callable[[Evidence], None] = lambda _: None,
) -> Baselines:
    return Baselines(
        reports, environment, runbook, release="1.2.0", run="20260101T120000Z-1f", observe=observe
    )


@given(value=values)
def test_value_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """What another run stored under the same conditions is read back exactly."""
    reports = tmp_path_factory.mktemp("reports")
    _baselines(reports).store("insert-rate", value, CONDITIONS)
    assert (
        _baselines(reports).read("insert-rate", {key: CONDITIONS[key] for key in reversed(CONDITIONS)})
        == value
    )


def test_baseline_stands_below_its_environment_and_runbook(tmp_path: Path) -> None:
    """A baseline is one file, found by environment, runbook and name, that tells where it comes from."""
    _baselines(tmp_path).store("insert-rate", 1234.5)
    path = tmp_path / "local" / "baselines" / "snapshot_backfill" / "insert-rate.json"
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    text = path.read_text()
    for fact in ("signoff-baseline/1", "1.2.0", "20260101T120000Z-1f", "taken_at", "1234.5"):
        assert fact in text


def test_storing_and_reading_are_evidence(tmp_path: Path) -> None:
    """What was stored or compared with is shown to the test's evidence, also when it is not comparable."""
    seen: list[Evidence] = []
    baselines = _baselines(tmp_path, observe=seen.append)
    baselines.store("insert-rate", 1234.5)
    baselines.read("insert-rate")
    with pytest.raises(Inconclusive):
        baselines.read("insert-rate", CONDITIONS)
    assert [evidence.asked for evidence in seen] == ["baseline stored", "baseline read", "baseline read"]
    assert all("1234.5" in evidence.answer for evidence in seen)


def test_missing_baseline_is_inconclusive(tmp_path: Path) -> None:
    """Without a baseline nothing is shown; the message tells how to get one."""
    with pytest.raises(Inconclusive, match="Run the stage that takes it"):
        _baselines(tmp_path).read("insert-rate")


def test_baseline_of_another_environment_is_not_found(tmp_path: Path) -> None:
    """A baseline of one environment or runbook is never compared with another one."""
    _baselines(tmp_path).store("insert-rate", 1234.5)
    for other in (_baselines(tmp_path, environment="staging"), _baselines(tmp_path, runbook="hardening")):
        with pytest.raises(Inconclusive):
            other.read("insert-rate")


@pytest.mark.parametrize(
    ("present", "difference"),
    [
        ({"sessions": 1_682_827, "server": "18.6"}, "sessions was 20000 and is 1682827"),
        ({"sessions": 20_000}, 'server was "18.6" and is not stated'),
        ({**CONDITIONS, "users": 100}, "users was not stated and is 100"),
        ({"sessions": "20000", "server": "18.6"}, 'sessions was 20000 and is "20000"'),
        ({}, "is not stated; sessions was 20000 and is not stated"),
    ],
)
def test_baseline_of_other_conditions_is_inconclusive(
    tmp_path: Path, present: dict[str, Scalar], difference: str
) -> None:
    """Every condition that differs is named; nothing is compared."""
    _baselines(tmp_path).store("insert-rate", 1234.5, CONDITIONS)
    with pytest.raises(Inconclusive) as refusal:
        _baselines(tmp_path).read("insert-rate", present)
    assert difference in refusal.value.got


def test_kept_baseline_gives_way_to_other_conditions_only(tmp_path: Path) -> None:
    """A baseline that is kept stays the first of its conditions, and is replaced under other ones."""
    baselines = _baselines(tmp_path)
    for value in (1.0, 2.0):
        baselines.keep("insert-rate", value, CONDITIONS)
    assert baselines.read("insert-rate", CONDITIONS) == 1.0
    other = {**CONDITIONS, "server": "19.0"}
    baselines.keep("insert-rate", 3.0, other)
    assert baselines.read("insert-rate", other) == 3.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"schema": "signoff-baseline/2"}',
        b'{"schema": "signoff-baseline/1", "value": 1}',
    ],
)
def test_corrupt_baseline_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file that is not a whole baseline of the known schema is named, never guessed at."""
    baselines = _baselines(tmp_path)
    baselines.store("insert-rate", 1234.5)
    (path,) = (found for found in tmp_path.rglob("*.json"))
    path.write_bytes(content)
    with pytest.raises(ReportError, match=r"insert-rate\.json"):
        baselines.read("insert-rate")


def test_baseline_under_another_name_is_an_error(tmp_path: Path) -> None:
    """A file that was copied to another place is not the baseline of that place."""
    baselines = _baselines(tmp_path)
    baselines.store("insert-rate", 1234.5)
    (path,) = (found for found in tmp_path.rglob("*.json"))
    path.rename(path.with_name("update-rate.json"))
    with pytest.raises(ReportError, match="the baseline insert-rate"):
        baselines.read("update-rate")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0b", "a\n", "x" * 101]
)
def test_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """Names that are no plain file names are refused, for baselines, environments and runbooks alike."""
    with pytest.raises(ReportError):
        _baselines(tmp_path).store(name, 1)
    with pytest.raises(ReportError):
        _baselines(tmp_path).read(name)
    with pytest.raises(ReportError):
        _baselines(tmp_path, environment=name)
    with pytest.raises(ReportError):
        _baselines(tmp_path, runbook=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        [float("inf")],
        Decimal("1.5"),
        {1: "a"},
        {"a": {1, 2}},
        b"x",
        2**60,
        "\udce9",
        {"\udce9": 1},
    ],
)
def test_value_that_would_not_read_back_is_refused(tmp_path: Path, value: Any) -> None:
    """What JSON cannot give back as it was is not stored, and an earlier baseline stays."""
    baselines = _baselines(tmp_path)
    baselines.store("insert-rate", 1234.5)
    with pytest.raises(EvidenceError, match="insert-rate"):
        baselines.store("insert-rate", value)
    assert baselines.read("insert-rate") == 1234.5


def test_baseline_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Where no file can be made, the message says that the baseline is lost."""
    (tmp_path / "local").write_text("a file where a folder should be")
    with pytest.raises(ReportError, match="the baseline insert-rate is lost"):
        _baselines(tmp_path).store("insert-rate", 1234.5)


WRITER = """
import sys
from pathlib import Path
from signoff.baselines import Baselines
reports, mark = sys.argv[1:]
baselines = Baselines(
    Path(reports), "local", "snapshot_backfill", release="1", run=mark, observe=lambda _: None
)
for _ in range(25):
    baselines.store("insert-rate", [mark] * 20_000)
"""


def test_readers_see_whole_baselines_while_others_write(tmp_path: Path) -> None:
    """With several processes writing at once, every read gives the whole value of one of them."""
    baselines = _baselines(tmp_path)
    baselines.store("insert-rate", ["start"] * 20_000)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), mark], env=ENVIRONMENT)
        for mark in "ab"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        value = baselines.read("insert-rate")
        assert len(value) == 20_000
        (mark,) = set(value)
        seen.add(mark)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert set(baselines.read("insert-rate")) <= {"a", "b"}
    assert seen & {"a", "b"}
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["insert-rate.json"]
