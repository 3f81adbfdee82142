"""Which checkpoints a run covers, and in which order it runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selftest.suite.conftest import SmallSuite

STAGES = """
## Before {#before .transitional}

- [ ] **DEM-1** The state is the one before.

## Migration {#migration .transitional}

- [ ] **DEM-2** The migration applies.

## Verification {#verification}

- [ ] **DEM-3** The state is the one after.

## Readiness {#readiness}

- [ ] **DEM-4** Somebody has looked. {.manual role="DBA"}
"""

# Written in another order than the runbook's, and with a destructive test.
TESTS = '''
ORDER = os.environ["ORDER"]


def note(name):
    with open(ORDER, "a") as file:
        print(name, file=file)


@checkpoint("DEM-3")
@pytest.mark.read_only
def test_after(expect):
    """The state is the one after."""
    note("DEM-3")
    expect("state", "after").equals("after")


@checkpoint("DEM-2")
@pytest.mark.destructive
def test_migration(expect):
    """The migration applies."""
    note("DEM-2")
    expect("errors", 0).equals(0)


@checkpoint("DEM-1")
@pytest.mark.read_only
@pytest.mark.parametrize("part", ["left", "right"])
def test_before(expect, part):
    """The state is the one before."""
    note(f"DEM-1 {part}")
    expect("state", "before").equals("before")
'''


@pytest.fixture
def staged(suite: SmallSuite) -> SmallSuite:
    """A suite with standing and transitional stages."""
    suite.runbook(STAGES)
    suite.tests(TESTS)
    return suite


def order(suite: SmallSuite) -> list[str]:
    """What ran, in the order in which it ran."""
    path = suite.root / "order"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    "workers",
    [(), ("-n", "2"), ("-n", "2", "--dist", "worksteal")],
    ids=["one-process", "xdist", "worksteal"],
)
def test_everything_runs_in_document_order(staged: SmallSuite, workers: tuple[str, ...]) -> None:
    """Without a selection all stages run, in the order of the document and not of the modules."""
    finished = staged.run(*workers, ORDER=str(staged.root / "order"))
    assert order(staged) == ["DEM-1 left", "DEM-1 right", "DEM-2", "DEM-3"]
    assert {c.id: c.outcome for c in finished.record.checkpoints} == {
        "DEM-1": "passed",
        "DEM-2": "passed",
        "DEM-3": "passed",
        "DEM-4": "pending",
    }


def test_reading_only_leaves_transitional_stages_out(staged: SmallSuite) -> None:
    """With -m read_only only standing stages are covered, and the record says why the others are not."""
    finished = staged.run("-m", "read_only", ORDER=str(staged.root / "order"))
    assert order(staged) == ["DEM-3"]
    assert [c.id for c in finished.record.checkpoints] == ["DEM-3", "DEM-4"]
    (runbook,) = finished.record.runbooks
    assert {stage.id: stage.selected for stage in runbook.stages} == {
        "before": False,
        "migration": False,
        "verification": True,
        "readiness": True,
    }
    assert "--stage before" in runbook.stages[0].reason


def test_a_named_stage_runs_alone(staged: SmallSuite) -> None:
    """--stage covers exactly the stages that it names, transitional ones too."""
    finished = staged.run("--stage", "before", "-m", "read_only", ORDER=str(staged.root / "order"))
    assert order(staged) == ["DEM-1 left", "DEM-1 right"]
    assert finished.status == 0, finished.output
    assert [c.id for c in finished.record.checkpoints] == ["DEM-1"]


def test_a_deselected_test_blocks_its_checkpoint(staged: SmallSuite) -> None:
    """A test that -k leaves out in a covered stage is not run, and its checkpoint is not green."""
    finished = staged.run("--stage", "before", "-k", "left", ORDER=str(staged.root / "order"))
    assert finished.status == 1
    before = finished.checkpoint("DEM-1")
    assert before.outcome == "not_run"
    assert "deselected by -k 'left'" in before.reason
    assert [test.outcome for test in before.tests] == ["passed", "not_run"]


@pytest.mark.parametrize(
    ("profile", "arguments", "reason"),
    [
        pytest.param('destructive = "never"', (), "forbids destructive tests", id="never"),
        pytest.param('destructive = "approval"', (), "--allow-destructive=demo", id="not-allowed"),
        pytest.param(
            'destructive = "approval"',
            ("--allow-destructive=prod",),
            "--allow-destructive=demo",
            id="another-allowed",
        ),
    ],
)
def test_an_environment_that_forbids_destructive_tests(
    staged: SmallSuite, profile: str, arguments: tuple[str, ...], reason: str
) -> None:
    """A forbidden destructive test does not run, and its checkpoint blocks with the reason."""
    path = staged.root / "environments/demo.toml"
    path.write_text(path.read_text().replace('destructive = "always"', profile))
    finished = staged.run(*arguments, ORDER=str(staged.root / "order"))
    assert "DEM-2" not in order(staged)
    assert finished.checkpoint("DEM-2").outcome == "not_run"
    assert reason in finished.checkpoint("DEM-2").reason


def test_an_allowed_destructive_test_runs(staged: SmallSuite) -> None:
    """With approval asked for and given for this very environment, destructive tests run."""
    path = staged.root / "environments/demo.toml"
    path.write_text(path.read_text().replace('"always"', '"approval"'))
    staged.run("--allow-destructive=demo", ORDER=str(staged.root / "order"))
    assert "DEM-2" in order(staged)


def test_a_destructive_test_is_not_allowed_by_its_flag_alone_where_releases_are_promoted(
    staged: SmallSuite,
) -> None:
    """An environment that promotes asks for a signed approval; without one nothing destructive runs."""
    path = staged.root / "environments/demo.toml"
    path.write_text(
        path.read_text().replace('"always"', '"approval"').replace("promotes = false", "promotes = true")
    )
    finished = staged.run("--allow-destructive=demo", ORDER=str(staged.root / "order"))
    assert "DEM-2" not in order(staged)
    assert "signed approval" in finished.checkpoint("DEM-2").reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--runbook", "dema"), "Did you mean demo?", id="runbook"),
        pytest.param(("--stage", "befor"), "Did you mean before?", id="stage"),
        pytest.param(("--release", "../x"), "--release ../x", id="release"),
        pytest.param(("-m", "readonly"), "readonly", id="marker"),
    ],
)
def test_a_wrong_command_line(staged: SmallSuite, arguments: tuple[str, ...], message: str) -> None:
    """A name that does not exist is refused before anything runs, with the nearest one where there is one."""
    finished = staged.run(*arguments, ORDER=str(staged.root / "order"))
    assert finished.status == 4
    assert message in finished.output
    assert order(staged) == []


@pytest.mark.parametrize(
    ("env", "message"),
    [(None, "--env: got no environment; expected one of demo"), ("dema", "Did you mean demo?")],
    ids=["none", "unknown"],
)
def test_no_environment(suite: SmallSuite, env: str | None, message: str) -> None:
    """Without an environment, or with an unknown one, the answer lists those that there are."""
    finished = suite.run(env=env)
    assert finished.status == 4
    assert message in finished.output
    assert finished.directories == ()


def test_two_runs_at_once(suite: SmallSuite) -> None:
    """Runs that start in the same second keep apart."""
    processes = [suite.start("--env=demo") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(suite.finished(0, "").directories) == 2


def test_a_limit_of_the_environment(suite: SmallSuite) -> None:
    """A limit that the profile changes is applied and recorded beside the runbook's."""
    path = suite.root / "environments/demo.toml"
    path.write_text(
        path.read_text() + '\n[limits."DEM-2".things]\nlimit = 3\nreason = "a smaller environment"\n'
    )
    finished = suite.run()
    assert finished.status == 1
    (criterion,) = finished.checkpoint("DEM-2").tests[0].criteria
    assert (criterion.outcome, criterion.limit, criterion.runbook_limit) == ("failed", 3, 2)
    assert criterion.limit_reason == "a smaller environment"


def test_a_limit_that_no_test_judges(suite: SmallSuite) -> None:
    """A misspelt criterion in the profile is an error of the checkpoint, not a limit that is forgotten."""
    path = suite.root / "environments/demo.toml"
    path.write_text(path.read_text() + '\n[limits."DEM-2".thinks]\nlimit = 2\nreason = "a typing error"\n')
    finished = suite.run()
    assert finished.checkpoint("DEM-2").outcome == "error"
    assert "thinks" in finished.checkpoint("DEM-2").reason
