"""The file ``record.json``: begun before the first test and kept up to date; and reading it back."""

from __future__ import annotations

import inspect
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from signoff.errors import ReportError
from signoff.record import SCHEMA, Criterion, Record
from signoff.storage import write_file

RECORD_FILE: Final = "record.json"

_SHARE_OF_RUN: Final = 0.02
_ALWAYS_ALLOWED_SECONDS: Final = 0.1
_LARGEST_INTEGER_BITS: Final = 63  # what every reader of JSON that has integers can hold
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class RecordFile:
    """``record.json`` while its run goes on.

    Rewriting the whole record after each test would cost the square of the number of tests. So `update`
    rewrites only while all rewriting together stays below 2 % of the time that the run has taken, or
    below 0.1 s, whichever is more: short runs are always up to date, long ones soon.

    Args:
        path: where the record is kept.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._began = clock()
        self._spent = 0.0
        self._last = 0.0

    def begin(self, record: Record) -> None:
        """Write the record of a run in which nothing has run yet.

        Raises:
            ReportError: the file cannot be written.
        """
        self._began = self._clock()
        self._write(record)

    def update(self, current: Callable[[], Record]) -> bool:
        """Rewrite the file when the time allowed for rewriting permits it.

        Args:
            current: makes the record as it stands; called only when the file is rewritten.

        Returns:
            Whether the file was rewritten.

        Raises:
            ReportError: the file cannot be written.
        """
        started = self._clock()
        allowed = max(_ALWAYS_ALLOWED_SECONDS, _SHARE_OF_RUN * (started - self._began))
        if self._spent + self._last > allowed:
            return False
        self._write(current())
        self._last = self._clock() - started
        self._spent += self._last
        return True

    def _write(self, record: Record) -> None:
        write_file(self.path, encode_record(record), lost="the record of this run")


def encode_record(record: Record) -> bytes:
    """The record as JSON, one line of UTF-8; the same record gives the same bytes.

    What JSON cannot hold is kept as text: a lone surrogate as its escape, a number that is not finite or
    too large by its name. Reports are rendered from the record as it was stored, so they show the same.
    """
    record = _with_storable_criteria(record)
    try:
        return msgspec.json.encode(record, enc_hook=str, order="deterministic") + b"\n"
    except UnicodeEncodeError:
        plain = _without_surrogates(msgspec.to_builtins(record, enc_hook=str))
        return msgspec.json.encode(plain, order="deterministic") + b"\n"


def decode_record(data: bytes, *, source: str) -> Record:
    """The record from its JSON.

    Args:
        data: the content of a record file.
        source: where it came from, for the message of an error.

    Raises:
        ReportError: not JSON, another schema version, or a field that is unknown, missing or wrong.
    """
    expected = f"a record of schema {SCHEMA}"
    try:
        schema = msgspec.json.decode(data, type=_Versioned).schema
        if schema != SCHEMA:
            raise ReportError(
                source,
                got=f"schema {schema!r}",
                expected=expected,
                next_step="Read it with the version of Signoff that wrote it (run.signoff_version).",
            )
        return msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError as exc:
        raise ReportError(
            source,
            got=str(exc),
            expected=expected,
            next_step="The file was changed or damaged after it was written: take it from the archive again.",
        ) from exc


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        ReportError: the file cannot be read, or `decode_record` refuses it.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ReportError(
            str(path),
            got=exc.strerror or str(exc),
            expected="a readable record.json",
            next_step="Name the record.json of a run, or its copy from the archive.",
        ) from exc
    return decode_record(data, source=str(path))


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``record.json``."""
    schema = msgspec.json.schema(Record)
    for definition in schema["$defs"].values():
        # Whether docstrings keep their indentation depends on the version of Python.
        definition["description"] = inspect.cleandoc(definition["description"])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA}
    return msgspec.json.decode(msgspec.json.encode(head | schema), type=dict[str, Any])


class _Versioned(msgspec.Struct):
    """Of a record file, what tells how to read the rest."""

    schema: str


def _with_storable_criteria(record: Record) -> Record:
    replace = msgspec.structs.replace
    checkpoints = tuple(
        replace(
            checkpoint,
            tests=tuple(
                replace(test, criteria=tuple(_storable(criterion) for criterion in test.criteria))
                for test in checkpoint.tests
            ),
        )
        if any(_storable(c) is not c for test in checkpoint.tests for c in test.criteria)
        else checkpoint
        for checkpoint in record.checkpoints
    )
    return replace(record, checkpoints=checkpoints)


def _storable(criterion: Criterion) -> Criterion:
    changes: dict[str, Any] = {}
    for field in ("measured", "limit", "runbook_limit"):
        value = getattr(criterion, field)
        match value:
            case float() if not math.isfinite(value):
                changes[field] = str(value)
            case int() if value.bit_length() > _LARGEST_INTEGER_BITS:
                changes[field] = str(value)
    if criterion.interval is not None and not all(map(math.isfinite, criterion.interval)):
        low, high = criterion.interval
        changes["interval"] = None
        changes["method"] = f"{criterion.method} (bounds {low} and {high})".strip()
    return msgspec.structs.replace(criterion, **changes) if changes else criterion


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case _:
            return value
