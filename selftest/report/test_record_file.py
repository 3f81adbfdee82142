from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from signoff.errors import ReportError
from signoff.record import CheckpointResult, Criterion, Evidence, Record
from signoff.report.record_file import RecordFile, decode_record, encode_record, read_record, record_schema

_SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "record.schema.json"


class Clock:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.seconds


def test_a_written_record_reads_back_equal(record: Record, tmp_path: Path) -> None:
    """What is read from record.json equals what was written, criteria and evidence included."""
    file = RecordFile(tmp_path / "run" / "record.json")
    file.begin(record)
    assert read_record(file.path) == record


def test_the_same_record_gives_the_same_bytes(record: Record) -> None:
    """The order in which facts were put into the record does not change the file."""
    target = record.targets[0]
    turned = replace(target, facts=dict(reversed(target.facts.items())))
    assert encode_record(record) == encode_record(replace(record, targets=(turned,)))


def test_a_short_run_is_always_up_to_date(record: Record, tmp_path: Path) -> None:
    """As long as rewriting has taken less than 0.1 s in all, every update is written."""
    file = RecordFile(tmp_path / "record.json", clock=Clock())
    file.begin(record)
    for number in range(30):
        run = replace(record.run, user=f"after test {number}")
        assert file.update(lambda run=run: replace(record, run=run))  # type: ignore[misc]
        assert read_record(file.path).run.user == f"after test {number}"


def test_rewriting_takes_no_more_than_its_share(record: Record, tmp_path: Path) -> None:
    """When each rewrite is slow, updates are left out until all of them are below 2 % of the run."""
    clock = Clock()
    file = RecordFile(tmp_path / "record.json", clock=clock)
    file.begin(record)

    def slow() -> Record:
        clock.seconds += 0.15
        return record

    written = 0
    for _ in range(1000):
        clock.seconds += 0.1
        written += file.update(slow)
    elapsed = clock.seconds - 1000.0
    assert 0.016 * elapsed < written * 0.15 <= 0.02 * elapsed


def test_finish_writes_what_updates_left_out(record: Record, tmp_path: Path) -> None:
    """The end of the run is written whatever the updates cost."""
    clock = Clock()
    file = RecordFile(tmp_path / "record.json", clock=clock)
    file.begin(replace(record, run=replace(record.run, state="incomplete")))

    def slow() -> Record:
        clock.seconds += 10
        return record

    assert file.update(slow)
    assert not file.update(slow)
    assert read_record(file.path).run.state == "complete"


def test_a_killed_run_leaves_the_record_of_its_beginning(record: Record, tmp_path: Path) -> None:
    """After SIGKILL the file is whole, says incomplete and names what never ran."""
    path = tmp_path / "record.json"
    begun = replace(record, run=replace(record.run, state="incomplete"))
    source = tmp_path / "begun.json"
    source.write_bytes(encode_record(begun))
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from signoff.report.record_file import RecordFile, read_record\n"
        "record = read_record(Path(sys.argv[1])); file = RecordFile(Path(sys.argv[2])); file.begin(record)\n"
        "file.update(lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, source, path], check=False)
    assert killed.returncode == -9
    left = read_record(path)
    assert left.run.state == "incomplete"
    assert [c.id for c in left.checkpoints if c.outcome == "not_run"] == ["SNP-079"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(
            lambda text: text.replace("signoff-record/1", "signoff-record/9"), "record/9", id="newer"
        ),
        pytest.param(lambda text: text[: len(text) // 2], "truncated", id="cut"),
        pytest.param(lambda _: "", "truncated", id="empty"),
        pytest.param(lambda text: text.replace('"user":', '"signed":'), "signed", id="unknown-field"),
        pytest.param(lambda text: text.replace('"promotes":false', '"promotes":"no"'), "promotes", id="type"),
        pytest.param(lambda text: text.replace('"HOLD"', '"GO"', 1), "GO", id="unknown-word"),
        pytest.param(lambda _: "[]", "object", id="not-a-record"),
        pytest.param(lambda text: text.replace('"schema"', '"scheme"'), "schema", id="no-schema"),
    ],
)
def test_a_damaged_record_is_refused(
    record: Record, tmp_path: Path, damage: Callable[[str], str], told: str
) -> None:
    """A file that is not a whole record of this schema is an error that names the file and the fault."""
    path = tmp_path / "record.json"
    path.write_text(damage(encode_record(record).decode()), encoding="utf-8")
    with pytest.raises(ReportError) as caught:
        read_record(path)
    assert caught.value.subject == str(path)
    assert told in caught.value.got


def test_a_record_in_another_encoding_is_refused(record: Record) -> None:
    """Bytes that are not UTF-8 are an error, not a crash."""
    with pytest.raises(ReportError):
        decode_record(encode_record(record).decode().encode("utf-16"), source="record.json")


def test_a_missing_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Reading a record that does not exist names the file and the next step."""
    with pytest.raises(ReportError, match=r"nothing\.json: got No such file"):
        read_record(tmp_path / "nothing.json")


def test_what_json_cannot_hold_is_kept_as_text(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """Lone surrogates, infinities, huge integers and foreign types are stored, and read back as text."""
    odd = checkpoint(
        "SNP-201",
        "Odd \udc80 values.",
        "error",
        Criterion(
            name="ratio",
            measured=math.nan,
            comparison=">=",
            limit=10**30,
            outcome="error",
            reason="not a number",
            interval=(1.0, math.inf),
            method="bootstrap",
        ),
        Criterion(
            name="place",
            measured=Path("/srv"),  # type: ignore[arg-type]  # what a careless check might hand in
            comparison="=",
            limit="/srv",
            outcome="error",
            reason="not a text",
        ),
        evidence=(Evidence(kind="file", source="host", asked="log", answer="\ud800|\udfff", at="now"),),
    )
    stored = decode_record(encode_record(replace(record, checkpoints=(odd,))), source="record.json")
    (kept,) = stored.checkpoints
    ratio, place = kept.tests[0].criteria
    assert kept.text == "Odd \\udc80 values."
    assert kept.tests[0].evidence[0].answer == "\\ud800|\\udfff"
    assert (ratio.measured, ratio.limit, ratio.interval) == ("nan", str(10**30), None)
    assert ratio.method == "bootstrap (bounds 1.0 and inf)"
    assert place.measured == "/srv"


def test_the_published_schema_is_current() -> None:
    """docs/record.schema.json is the schema of the record as the code has it."""
    current = json.dumps(record_schema(), indent=2, ensure_ascii=False) + "\n"
    assert _SCHEMA_FILE.read_text(encoding="utf-8") == current, "write json.dumps(record_schema()) to it"


def test_records_validate_against_the_published_schema(record: Record) -> None:
    """A record of a real run is valid; one with an unknown field or outcome is not."""
    validator = jsonschema.Draft202012Validator(json.loads(_SCHEMA_FILE.read_text(encoding="utf-8")))
    stored = json.loads(encode_record(record))
    validator.validate(stored)
    assert not validator.is_valid({**stored, "signed": True})
    stored["checkpoints"][0]["outcome"] = "fine"
    assert not validator.is_valid(stored)


def test_writing_records_loads_no_renderer() -> None:
    """Keeping record.json up to date imports neither Jinja2 nor rich nor a Markdown parser."""
    program = (
        "import sys, signoff.report.record_file\n"
        "print([name for name in ('jinja2', 'rich', 'markdown_it', 'psycopg') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"
