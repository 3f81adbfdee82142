"""The pytest items that come from a runbook itself: manual and unverified checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from signoff.errors import AttestationMissing, CheckpointError
from signoff.plan import CHECKPOINT_MARK
from signoff.runbook import Checkpoint, Runbook

RUNBOOK: Final = pytest.StashKey[Runbook]()


class RunbookFile(pytest.File):
    """A runbook as pytest collects it: one item for each manual checkpoint."""

    def collect(self) -> Iterable[pytest.Item]:
        """The manual checkpoints in document order."""
        for checkpoint in self.stash[RUNBOOK].checkpoints:
            if checkpoint.manual_role:
                yield ManualCheckpoint.from_parent(self, name=checkpoint.id, checkpoint=checkpoint)


class RunbookItem(pytest.Item):
    """A checkpoint that no test verifies."""

    def __init__(self, *, checkpoint: Checkpoint, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checkpoint = checkpoint
        self.add_marker(getattr(pytest.mark, CHECKPOINT_MARK)(checkpoint.id))
        # Reading an attestation writes nothing, so `-m read_only` keeps the item.
        self.add_marker(pytest.mark.read_only)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the checkpoint stands."""
        return self.path, self.checkpoint.line - 1, f"{self.checkpoint.id} {self.checkpoint.text}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:  # noqa: ARG002 - pytest's signature
        """What is missing; a traceback would tell the reader nothing, and costs a second to format."""
        return str(excinfo.value)

    @property
    def place(self) -> str:
        """The line of the runbook."""
        return f"{self.path.parent.name}/{self.path.name}:{self.checkpoint.line} {self.checkpoint.id}"


class ManualCheckpoint(RunbookItem):
    """A checkpoint that a person attests."""

    def runtest(self) -> NoReturn:
        """Look for the attestation.

        Raises:
            AttestationMissing: there is none.
        """
        role = self.checkpoint.manual_role
        raise AttestationMissing(
            self.place,
            got=f"no attestation by the role {role}",
            expected="one",
            next_step="It stays pending until a person attests it.",
        )


class UnverifiedCheckpoint(RunbookItem):
    """A checkpoint with neither a test nor a role."""

    def runtest(self) -> NoReturn:
        """Refuse to call it verified.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(
            self.place,
            got="neither a test nor `.manual`",
            expected="something that verifies it",
            next_step=f'Write a test with @checkpoint("{self.checkpoint.id}").',
        )


def collect_runbook(parent: pytest.Collector, runbook: Runbook) -> RunbookFile:
    """The collector of one runbook."""
    file: RunbookFile = RunbookFile.from_parent(parent, path=runbook.path)
    file.stash[RUNBOOK] = runbook
    return file
