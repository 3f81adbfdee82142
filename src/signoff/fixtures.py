"""The fixtures of the suite: handles for the runbook's system, bound to the access of the test.

They ask the running attempt, not pytest's ``request``, which takes longer to make than all else in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from signoff.baselines import Baselines
from signoff.criteria import Expect
from signoff.environment import Profile
from signoff.record import Evidence
from signoff.status import uncaptured_console
from signoff.suite import Suite
from signoff.timestamps import utc_now

if TYPE_CHECKING:
    from signoff.handles.artifacts import Artifacts
    from signoff.handles.host import Host
    from signoff.handles.postgres.handle import Postgres
    from signoff.handles.procedures import Procedures

ProgressLine: TypeAlias = Callable[..., AbstractContextManager[None]]
"""``progress(text, seconds=None)``."""


class Fixtures:
    """Registered as a plugin, this gives each test its fixtures.

    Args:
        suite: the suite that the tests stand in.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    @pytest.fixture
    def environment(self) -> Profile:
        """The profile of the environment."""
        return self._suite.connections.profile

    @pytest.fixture
    def expect(self) -> Expect:
        """``expect(name, value, unit).at_least(limit)``: judge a value and record it."""
        return self._suite.attempt.expect

    @pytest.fixture
    def db(self) -> Postgres:
        """The database of the runbook's system."""
        attempt = self._suite.attempt
        return self._suite.connections.postgres(attempt.system, attempt.access)

    @pytest.fixture
    def replica(self) -> Postgres:
        """The streaming standby of the database; always read-only."""
        return self._suite.connections.postgres(self._suite.attempt.system, "read_only", replica=True)

    @pytest.fixture
    def host(self) -> Host:
        """The machine that the database runs on."""
        return self._suite.connections.host(self._suite.attempt.system)

    @pytest.fixture
    def procedures(self) -> Procedures:
        """The procedures that the profile declares; refused unless the test is destructive."""
        attempt = self._suite.attempt
        return self._suite.connections.procedures(attempt.system, attempt.access)

    @pytest.fixture
    def artifact(self) -> Artifacts:
        """``artifact(name)``: what another tool has left behind, a test report for instance."""
        return self._suite.connections.artifacts(self._suite.attempt.system)

    @pytest.fixture
    def setting(self) -> Callable[[str], Any]:
        """``setting(name)``: what the profile, or else the runbook's front matter, says."""
        connections = self._suite.connections
        system = self._suite.attempt.system

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
    def baseline(self) -> Baselines:
        """``baseline.store(name, value)`` before a change, ``baseline.read(name)`` after it."""
        return self._suite.baselines(self._suite.attempt.checkpoint)

    @pytest.fixture
    def progress(self) -> ProgressLine:
        """A line on the terminal that says what a long check waits for, and for how long as a rule."""

        @contextmanager
        def line(text: str, seconds: float | None = None) -> Iterator[None]:
            from signoff.report.terminal import Progress  # noqa: PLC0415 - rich is needed by long checks only

            with uncaptured_console(self._suite.config) as console:
                if console is None:
                    yield
                    return
                with Progress(console, text, seconds):
                    yield

        return line
