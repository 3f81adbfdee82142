"""The fixtures of the suite: handles for the runbook's system, bound to the access of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from signoff.attempt import ATTEMPT, Attempt
from signoff.baselines import Baselines
from signoff.criteria import Expect
from signoff.environment import Profile
from signoff.plan import access_of, checkpoint_of
from signoff.record import Access, Evidence
from signoff.status import uncaptured_console
from signoff.suite import SUITE, Suite
from signoff.timestamps import utc_now

if TYPE_CHECKING:
    from signoff.handles.artifacts import Artifacts
    from signoff.handles.host import Host
    from signoff.handles.postgres.handle import Postgres
    from signoff.handles.procedures import Procedures

ProgressLine: TypeAlias = Callable[..., AbstractContextManager[None]]
"""``progress(text, seconds=None)``."""


def _suite(request: pytest.FixtureRequest) -> Suite:
    return request.config.stash[SUITE]


def _system(request: pytest.FixtureRequest) -> str:
    return _suite(request).whole_inventory.runbook_of(checkpoint_of(request.node)).system


def _access(request: pytest.FixtureRequest) -> Access:
    return access_of(request.node)


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Profile:
    """The profile of the environment."""
    return _suite(request).connections.profile


@pytest.fixture
def expect(request: pytest.FixtureRequest) -> Expect:
    """``expect(name, value, unit).at_least(limit)``: judge a value and record it."""
    attempt: Attempt = request.node.stash[ATTEMPT]
    return attempt.expect


@pytest.fixture
def db(request: pytest.FixtureRequest) -> Postgres:
    """The database of the runbook's system."""
    return _suite(request).connections.postgres(_system(request), _access(request))


@pytest.fixture
def replica(request: pytest.FixtureRequest) -> Postgres:
    """The streaming standby of the database; always read-only."""
    return _suite(request).connections.postgres(_system(request), "read_only", replica=True)


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """The machine that the database runs on."""
    return _suite(request).connections.host(_system(request))


@pytest.fixture
def procedures(request: pytest.FixtureRequest) -> Procedures:
    """The procedures that the profile declares; refused unless the test is destructive."""
    return _suite(request).connections.procedures(_system(request), _access(request))


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> Artifacts:
    """``artifact(name)``: what another tool has left behind, a test report for instance."""
    return _suite(request).connections.artifacts(_system(request))


@pytest.fixture
def setting(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """``setting(name)``: what the profile, or else the runbook's front matter, says."""
    connections = _suite(request).connections
    system = _system(request)

    def stated(name: str) -> Any:
        value = connections.profile.system(system).setting(name)
        connections.observe(
            Evidence(
                kind="setting",
                source=f"{connections.profile.name}.toml",
                asked=f"systems.{system}.settings.{name}",
                answer=str(value),
                at=utc_now(),
            )
        )
        return value

    return stated


@pytest.fixture
def baseline(request: pytest.FixtureRequest) -> Baselines:
    """``baseline.store(name, value)`` before a change, ``baseline.read(name)`` after it."""
    return _suite(request).baselines(checkpoint_of(request.node))


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> ProgressLine:
    """A line on the terminal that says what a long check waits for, and for how long as a rule."""

    @contextmanager
    def line(text: str, seconds: float | None = None) -> Iterator[None]:
        from signoff.report.terminal import Progress  # noqa: PLC0415 - rich is needed by long checks only

        with uncaptured_console(request.config) as console:
            if console is None:
                yield
                return
            with Progress(console, text, seconds):
                yield

    return line
