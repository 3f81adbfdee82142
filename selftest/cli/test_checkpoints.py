from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selftest.cli.conftest import Project


def test_each_line_of_a_runbook_is_traced_to_what_verifies_it(project: Project) -> None:
    """JSON gives for each checkpoint its place in the runbook, its tests, their access and topics."""
    answer = project.ask("checkpoints", "--json")
    assert (answer.status, answer.err) == (0, "")
    first, manual, change = answer.json
    assert first == {
        "id": "DEM-1",
        "runbook": "demo",
        "stage": "verification",
        "transitional": False,
        "text": "The first thing holds.",
        "covers": ["DEM-7", "DEM-8"],
        "rollback": False,
        "manual_role": "",
        "tests": ["tests/demo/test_demo.py::test_first[1]", "tests/demo/test_demo.py::test_first[2]"],
        "access": ["read_only"],
        "topics": ["performance"],
    }
    assert (manual["id"], manual["manual_role"], manual["tests"]) == ("DEM-2", "DBA", [])
    assert (change["id"], change["transitional"], change["rollback"]) == ("DEM-3", True, True)
    assert (change["tests"], change["access"]) == (["tests/demo/test_demo.py::test_change"], ["destructive"])


def test_tracing_runs_nothing_and_touches_no_environment(project: Project) -> None:
    """No test runs, and no profile is needed or read."""
    project.write("environments/demo.toml", "not TOML")
    assert project.ask("checkpoints").status == 0
    assert not (project.root / "ran").exists()
    assert not (project.root / "reports").exists()


def test_the_table_shows_every_checkpoint(project: Project) -> None:
    """People get a table with a count below it."""
    answer = project.ask("checkpoints")
    for words in ("DEM-1", "test_first[1]", "a person: DBA", "migration (transitional)", "DEM-7 DEM-8"):
        assert words in answer.out
    assert answer.out.endswith("\n3 checkpoints, 3 tests\n")


def test_a_line_that_nothing_verifies_is_a_bad_answer(project: Project) -> None:
    """A checkpoint with neither test nor person is named, and the exit status tells a script."""
    runbook = (project.root / "tests/demo/runbook.md").read_text()
    project.write("tests/demo/runbook.md", f"{runbook}- [ ] **DEM-4** Nobody looks.\n")
    answer = project.ask("checkpoints")
    assert answer.status == 1
    assert answer.out.endswith("; verified by nothing: DEM-4\n")


def test_tests_in_stages_out_of_scope_are_traced_too(project: Project) -> None:
    """Traceability is about the whole suite, also where a run of today would leave a stage out."""
    tests = (project.root / "tests/demo/test_demo.py").read_text()
    project.write("tests/demo/test_demo.py", tests.replace("mark.destructive", "mark.read_only"))
    assert [len(one["tests"]) for one in project.ask("checkpoints", "--json").json] == [2, 0, 1]


def test_one_runbook_may_be_asked_for(project: Project) -> None:
    """A runbook can be selected; an unknown one is wrong usage and lists those that exist."""
    head, stages = (project.root / "tests/demo/runbook.md").read_text().split("## Verification")
    project.write("tests/other/runbook.md", head + "## Verification" + stages.replace("DEM-", "OTH-"))
    answer = project.ask("checkpoints", "--json", "--runbook", "demo")
    assert (answer.status, {one["runbook"] for one in answer.json}) == (0, {"demo"})
    assert len(project.ask("checkpoints", "--json").json) == 6
    unknown = project.ask("checkpoints", "--runbook", "dmeo")
    assert (unknown.status, unknown.out) == (2, "")
    assert "got dmeo; expected one of demo, other." in unknown.err


def test_a_suite_that_cannot_be_collected_is_an_error(project: Project) -> None:
    """A test without its checkpoint is said on standard error; a table with holes is not printed."""
    tests = (project.root / "tests/demo/test_demo.py").read_text()
    project.write("tests/demo/test_demo.py", tests.replace("DEM-3", "DEM-33"))
    answer = project.ask("checkpoints", "--json")
    assert (answer.status, answer.out) == (3, "")
    assert "DEM-33" in answer.err
    assert "Traceback" not in answer.err


def test_a_test_module_that_breaks_is_an_error(project: Project) -> None:
    """A module that cannot be imported is an error with its reason."""
    project.write("tests/demo/test_broken.py", "raise RuntimeError('cannot be imported')\n")
    answer = project.ask("checkpoints")
    assert (answer.status, answer.out) == (3, "")
    assert "cannot be imported" in answer.err
