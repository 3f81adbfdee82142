"""The model of a runbook; see the package's docstring for the document."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

SettingType = Literal["number", "integer", "text", "duration", "list"]
SETTING_TYPES: Final[tuple[SettingType, ...]] = ("number", "integer", "text", "duration", "list")


@dataclass(frozen=True)
class Setting:
    """A value that checks need and that an environment may give.

    Attributes:
        type: ``number``, ``integer``, ``text``, ``duration`` (such as ``30s``) or ``list``.
        about: what the value means.
        default: the value when the profile gives none; ``None`` when it must be given.
    """

    type: SettingType
    about: str
    default: Any = None


@dataclass(frozen=True)
class Checkpoint:
    """One line of a runbook that must be shown to hold.

    Attributes:
        id: unique over all runbooks.
        text: the line without checkbox, id and attributes.
        stage: id of its stage.
        line: line of the document, from 1.
        covers: further ids of the inventory that this checkpoint stands for.
        rollback: whether its failure means ROLLBACK.
        manual_role: for a manual checkpoint, the role that attests it; empty for an automated one.
    """

    id: str
    text: str
    stage: str
    line: int
    covers: tuple[str, ...] = ()
    rollback: bool = False
    manual_role: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything that the line means, so that a changed line matches no earlier record."""
        meaning = "\n".join(
            (self.id, self.text, " ".join(self.covers), str(self.rollback), self.manual_role, self.stage)
        )
        return hashlib.sha256(meaning.encode()).hexdigest()


@dataclass(frozen=True)
class Stage:
    """A section of a runbook that holds checkpoints.

    Attributes:
        id: unique within the runbook.
        title: the heading.
        transitional: whether its checkpoints hold only while the stage lasts.
        checkpoints: in document order.
    """

    id: str
    title: str
    transitional: bool
    checkpoints: tuple[Checkpoint, ...]


@dataclass(frozen=True)
class Block:
    """A piece of the document in its order, for rendering.

    Attributes:
        kind: ``heading``, ``prose`` or ``checkpoint``.
        text: heading text, Markdown source of prose, or the checkpoint's id.
        level: of a heading, 1 to 6; 0 otherwise.
        stage: id of the stage it stands in; empty before the first.
    """

    kind: Literal["heading", "prose", "checkpoint"]
    text: str
    level: int = 0
    stage: str = ""


@dataclass(frozen=True)
class Runbook:
    """One operational document; see the package's docstring."""

    name: str
    path: Path
    title: str
    system: str
    owner: str
    sign_off_roles: tuple[str, ...]
    rollback_decided_by: str
    names: Mapping[str, str]
    settings: Mapping[str, Setting]
    artifacts: Mapping[str, str]
    procedures: Mapping[str, str]
    roles: Mapping[str, str]
    stages: tuple[Stage, ...]
    blocks: tuple[Block, ...]
    sha256: str

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All checkpoints in document order."""
        return tuple(checkpoint for stage in self.stages for checkpoint in stage.checkpoints)
