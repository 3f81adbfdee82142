"""The suite as one process sees it: markers, runbooks, environment, and what was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from signoff.access import destructive_refusal
from signoff.baselines import Baselines
from signoff.boot import Facts
from signoff.connections import Connections, OutOfReach
from signoff.environment import Declarations, Limit, Profile, available_profiles, load_profile
from signoff.errors import StackError, UsageError
from signoff.items import RUNBOOK, RunbookFile, UnverifiedCheckpoint
from signoff.markers import Marker, load_markers
from signoff.plan import (
    Inventory,
    Plan,
    PlannedTest,
    access_of,
    check_names,
    checkpoint_of,
    cover_stages,
    title_of,
    topics_of,
)
from signoff.record import Selection
from signoff.runbook import Runbook, load_runbooks

if TYPE_CHECKING:
    from signoff.attempt import Attempt

SUITE: Final = pytest.StashKey["Suite"]()
_TEST: Final = pytest.StashKey[PlannedTest]()

_WITHOUT_ENVIRONMENT: Final = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test")


class Suite:
    """What one process, be it the controller or a worker, knows about the suite.

    Attributes:
        root: the folder with conftest.py, markers.ini, tests/ and environments/.
        markers: as markers.ini declares them.
        whole_inventory: every runbook.
        inventory: the selected runbooks.
        profile: the environment; ``None`` when nothing is going to run.
        plan: what the run will do; ``None`` until the tests are collected, and with xdist on the controller.
        connections: the handles, once the environment is known to be up.
        attempt: the running test, from the first one on.
    """

    attempt: Attempt

    def __init__(
        self,
        config: pytest.Config,
        *,
        markers: tuple[Marker, ...],
        runbooks: Sequence[Runbook],
        profile: Profile | None,
    ) -> None:
        self.config = config
        self.root = config.rootpath
        self.markers = markers
        self.whole_inventory = Inventory(runbooks)
        self.inventory = Inventory(
            [r for r in runbooks if not config.option.runbook or r.name in config.option.runbook]
        )
        self.profile = profile
        self.plan: Plan | None = None
        self._connections: Connections | None = None
        self._run = ""
        self._told: dict[str, Any] = getattr(config, "workerinput", {}).get("signoff", {})
        if self.is_worker:
            self.reach(self._told["facts"], self._told["run"], self._told["out_of_reach"])

    @classmethod
    def of(cls, config: pytest.Config) -> Suite:
        """Read what the command line asks for.

        Raises:
            SignoffError: markers, runbooks or profile are not valid, or the command line names what does
                not exist.
        """
        root = config.rootpath
        markers = load_markers(root / "markers.ini")
        testpaths = config.getini("testpaths") or ["tests"]
        runbooks = load_runbooks(root / testpaths[0])
        option = config.option
        check_names("runbook", option.runbook, [r.name for r in runbooks])
        selected = [r for r in runbooks if not option.runbook or r.name in option.runbook]
        check_names("stage", option.stage, [stage.id for r in selected for stage in r.stages])
        if any(getattr(option, name, False) for name in _WITHOUT_ENVIRONMENT):
            return cls(config, markers=markers, runbooks=runbooks, profile=None)
        directory = root / "environments"
        if option.env is None:
            if option.collectonly:
                return cls(config, markers=markers, runbooks=runbooks, profile=None)
            raise UsageError(
                "--env",
                got="no environment",
                expected="one of "
                + (", ".join(available_profiles(directory)) or "none: the folder is empty"),
                next_step="Name the environment to verify, for instance --env local.",
            )
        profile = load_profile(
            directory / f"{option.env}.toml",
            Declarations.of(runbooks),
            systems={runbook.system for runbook in selected},
            destructive=option.allow_destructive is not None,
        )
        return cls(config, markers=markers, runbooks=runbooks, profile=profile)

    @property
    def is_worker(self) -> bool:
        """Whether this process is an xdist worker."""
        return hasattr(self.config, "workerinput")

    @property
    def promotes(self) -> bool:
        """Whether limits of the environment may only be tightened."""
        return self.profile is None or self.profile.promotes

    @property
    def run_directory(self) -> Path:
        """Where the controller keeps the run; only on a worker."""
        return Path(self._told["directory"])

    def redact(self, text: str) -> str:
        """A text without secrets."""
        return text if self.profile is None else self.profile.redactor.redact(text)

    def reach(self, facts: Facts, run: str, out_of_reach: OutOfReach) -> None:
        """Take the facts of the booted stack; from now on there are connections.

        Args:
            facts: empty where the run boots nothing.
            run: id of the run, part of the application name of connections.
            out_of_reach: components that were asked who they are in vain, with the reason.
        """
        if self.profile is None:
            return
        if self.profile.stack is not None:
            self.profile = self.profile.with_stack(facts)
        self._run = run
        self._connections = Connections(self.profile, label=run, out_of_reach=out_of_reach)

    @property
    def connections(self) -> Connections:
        """The handles of this process.

        Raises:
            StackError: the environment is not up.
        """
        if self._connections is None:
            raise StackError(
                "the environment",
                got="a use before it is up",
                expected="handles in tests and fixtures only",
                next_step="Move the use out of the collection.",
            )
        return self._connections

    def close(self) -> None:
        """Hang up everywhere."""
        if self._connections is not None:
            self._connections.close()

    def baselines(self, checkpoint: str) -> Baselines:
        """The baselines of the runbook that a checkpoint stands in."""
        option = self.config.option
        return Baselines(
            self.reports,
            self.connections.profile.name,
            self.whole_inventory.runbook_of(checkpoint).name,
            release=option.release,
            run=self._run,
            observe=self.connections.observe,
        )

    @property
    def reports(self) -> Path:
        """The folder of the archive."""
        return self.root / str(self.config.option.reports)

    def limits_of(self, checkpoint: str) -> Mapping[str, Limit]:
        """The limits that the environment changes, by criterion."""
        return {} if self.profile is None else self.profile.limits.get(checkpoint, {})

    # Collection

    def leaves_out(self, path: Path) -> bool:
        """Whether a path is the folder of a runbook that was not asked for."""
        return any(
            path == runbook.path.parent and runbook not in self.inventory.runbooks
            for runbook in self.whole_inventory.runbooks
        )

    def runbook_at(self, path: Path) -> Runbook | None:
        """The selected runbook in this file."""
        return next((runbook for runbook in self.inventory.runbooks if runbook.path == path), None)

    def arrange(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Bring the items into document order; return a copy."""
        self._sort(items)
        return list(items)

    def _sort(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.whole_inventory.position(checkpoint_of(item)))

    def decide(
        self, session: pytest.Session, candidates: Sequence[pytest.Item], items: list[pytest.Item]
    ) -> None:
        """Decide which stages the run covers, and keep only their items.

        Args:
            session: the collected session.
            candidates: all items before ``-m`` and ``-k``.
            items: those left; changed in place.
        """
        stages = cover_stages(self.inventory, self.config.option.stage, items)
        covered = {
            (name, stage.id) for name, records in stages.items() for stage in records if stage.selected
        }
        in_scope = {
            checkpoint.id
            for runbook in self.inventory.runbooks
            for checkpoint in runbook.checkpoints
            if (runbook.name, checkpoint.stage) in covered
        }
        kept = [item for item in items if checkpoint_of(item) in in_scope]
        out_of_scope = [item for item in items if checkpoint_of(item) not in in_scope]
        left = set(kept)
        tests = [
            self._planned(item, runs=item in left) for item in candidates if checkpoint_of(item) in in_scope
        ]
        unverified = self._unverified(session, in_scope - {test.checkpoint for test in tests})
        kept += unverified
        tests += [self._planned(item, runs=True) for item in unverified]
        if out_of_scope:
            self.config.hook.pytest_deselected(items=out_of_scope)
        items[:] = kept
        self._sort(items)
        self.plan = Plan(
            stages=stages,
            tests=tuple(sorted(tests, key=lambda test: self.whole_inventory.position(test.checkpoint))),
            unverified=tuple(checkpoint_of(item) for item in unverified),
        )
        if self.is_worker:
            worker = os.environ.get("PYTEST_XDIST_WORKER", "")
            plan_file(self.run_directory, worker).write_bytes(msgspec.json.encode(self.plan))

    def _planned(self, item: pytest.Item, *, runs: bool) -> PlannedTest:
        test = self.test_of(item)
        if runs:
            return test
        option = self.config.option
        reasons = [
            f"{flag} {value!r}" for flag, value in (("-m", option.markexpr), ("-k", option.keyword)) if value
        ]
        left_out = "deselected by " + (" and ".join(reasons) or "a plugin")
        if test.access == "destructive":
            left_out += ": its test is destructive"
        return msgspec.structs.replace(test, left_out=left_out)

    def test_of(self, item: pytest.Item) -> PlannedTest:
        """What an item says of itself, redacted."""
        test = item.stash.get(_TEST, None)
        if test is None:
            test = item.stash[_TEST] = PlannedTest(
                nodeid=self.redact(item.nodeid),
                checkpoint=checkpoint_of(item),
                title=self.redact(title_of(item)),
                access=access_of(item),
                topics=topics_of(item, self.markers),
            )
        return test

    def _unverified(self, session: pytest.Session, checkpoints: set[str]) -> list[pytest.Item]:
        """Items for the checkpoints in scope that no collected item verifies."""
        items: list[pytest.Item] = []
        if session.testsfailed:
            # The missing tests may be in the module that could not be collected, and nothing will run.
            return items
        for runbook in self.inventory.runbooks:
            if not self._is_whole(session, runbook):
                continue
            file: RunbookFile = RunbookFile.from_parent(session, path=runbook.path)
            file.stash[RUNBOOK] = runbook
            items.extend(
                UnverifiedCheckpoint.from_parent(file, name=checkpoint.id, checkpoint=checkpoint)
                for checkpoint in runbook.checkpoints
                if checkpoint.id in checkpoints
            )
        return items

    def _is_whole(self, session: pytest.Session, runbook: Runbook) -> bool:
        """Whether the command line asks for the whole folder of a runbook, not for parts of it."""
        folder = runbook.path.parent
        start = session.config.invocation_params.dir
        paths = [start / arg for arg in session.config.args if "::" not in arg]
        return any(folder == path or path in folder.parents for path in map(Path.resolve, paths))

    # Tests

    def permit(self, item: pytest.Item) -> None:
        """Leave a destructive test unrun where the environment forbids it; its checkpoint blocks."""
        if access_of(item) == "destructive" and self.profile is not None:
            refusal = destructive_refusal(self.profile, self.config.option.allow_destructive)
            if refusal:
                pytest.skip(refusal)

    def selection(self) -> Selection:
        """What the command line asks for."""
        option = self.config.option
        start = self.config.invocation_params.dir
        default = [self.root / path for path in self.config.getini("testpaths")]
        paths = [arg for arg in self.config.args if (start / arg) not in default]
        return Selection(
            markers=option.markexpr,
            keywords=option.keyword,
            runbooks=tuple(runbook.name for runbook in self.inventory.runbooks),
            stages=tuple(option.stage),
            paths=tuple(paths),
            destructive=option.allow_destructive is not None,
        )


def plan_file(directory: Path, worker: str) -> Path:
    """Where an xdist worker leaves its plan for the controller."""
    return directory / f".plan-{worker}.json"
