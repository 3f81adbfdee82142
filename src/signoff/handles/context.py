"""What every handle is told when it is opened, and what it says about the other side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signoff.handles.observation import Observe, Redact
from signoff.record import Access


@dataclass(frozen=True, kw_only=True)
class Context:
    """The circumstances in which a handle works.

    Attributes:
        component: what it reaches, ``jivs.redis``; the source of its evidence and the subject of its errors.
        access: what it may do.
        observe: takes what it sees.
        redact: removes known secrets from a text.
        root: the directory that relative paths of the profile begin at.
        label: who asks; the application name where a server can be told one.
    """

    component: str
    access: Access
    observe: Observe
    redact: Redact
    root: Path
    label: str


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """Who answered a handle.

    Attributes:
        address: where, without credentials.
        detail: product and version, or whatever else says that it is the right one.
        identity: what a profile can pin; empty where there is no such thing.
        writes: what our credentials could write; empty for none.
    """

    address: str
    detail: str
    identity: str = ""
    writes: tuple[str, ...] = ()
