from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selftest.cli.conftest import Project


def test_profiles_are_listed_and_validated(project: Project) -> None:
    """Valid profiles are listed with what they are; nothing is written to standard error."""
    project.profile()
    project.profile(name="other")
    answer = project.ask("environments")
    assert (answer.status, answer.err) == (0, "")
    listed = [line.split()[:2] for line in answer.out.splitlines() if "always" in line]
    assert listed == [["demo", "valid"], ["other", "valid"]]


def test_profiles_are_listed_as_json(project: Project) -> None:
    """Programs get the same as JSON: the state, the systems and why a component is absent."""
    project.profile(
        '[systems.demo.redis]\nabsent = "no cache"\n[systems.demo.host]\nvia = []\n', name="staging"
    )
    answer = project.ask("environments", "--json")
    assert answer.status == 0
    assert answer.json == [
        {
            "name": "staging",
            "file": "environments/staging.toml",
            "valid": True,
            "description": "An environment",
            "promotes": False,
            "destructive": "always",
            "boots_a_stack": False,
            "systems": {"demo": {"host": "configured", "redis": "absent: no cache"}},
            "problems": [],
            "missing_secrets": [],
        }
    ]


def test_a_profile_that_is_not_valid_is_named_beside_the_others(project: Project) -> None:
    """One bad profile makes the answer bad; all profiles are judged, each problem with file and key."""
    project.profile(name="good")
    project.profile("[systems.demo.settings]\nlimt = 2\n", name="bad")
    project.write("environments/broken.toml", "schema = 1\nname = \n")
    answer = project.ask("environments")
    assert (answer.status, answer.err) == (1, "")
    assert "environments/bad.toml: systems.demo.settings.limt\n" in answer.out
    assert "Did you mean limit?" in answer.out
    assert "environments/broken.toml: line 2\n" in answer.out
    states = {one["name"]: one["valid"] for one in project.ask("environments", "--json").json}
    assert states == {"bad": False, "broken": False, "good": True}


def test_missing_secrets_do_not_make_a_profile_bad(project: Project) -> None:
    """A template can be validated without its secrets; what this shell lacks is a class of its own."""
    project.profile(
        '[systems.demo.metrics]\nurl = "https://p"\ntoken = { env = "SIGNOFF_NO_TOKEN" }\n'
        '[systems.demo.elasticsearch]\nurl = "https://e"\napi_key = { env = "SIGNOFF_NO_TOKEN" }\n'
    )
    answer = project.ask("environments")
    assert answer.status == 0
    assert "valid; 1 secret missing here" in answer.out
    assert (
        "environments/demo.toml: secret missing in this shell: environment variable SIGNOFF_NO_TOKEN, "
        "which is not set\n    for systems.demo.metrics.token, systems.demo.elasticsearch.api_key\n"
    ) in answer.out
    (listed,) = project.ask("environments", "--json").json
    assert (listed["valid"], len(listed["missing_secrets"])) == (True, 2)
    assert project.ask("environments", SIGNOFF_NO_TOKEN="t").out.count("missing") == 0


def test_a_suite_without_environments_is_no_good_answer(project: Project) -> None:
    """Nothing is verified where there is no environment; an empty list is not a good answer."""
    answer = project.ask("environments", "--json")
    assert (answer.status, answer.json) == (1, [])


def test_the_project_may_be_named(project: Project, tmp_path: Path) -> None:
    """The command can be run from anywhere."""
    project.profile()
    elsewhere = dataclasses.replace(project, root=tmp_path)
    assert elsewhere.ask("environments").status == 3
    answer = elsewhere.ask("--root", str(project.root), "environments", "--json")
    assert [one["file"] for one in answer.json] == ["project/environments/demo.toml"]


def test_a_runbook_that_cannot_be_read_is_said_on_standard_error(project: Project) -> None:
    """Without the runbooks no profile can be judged; standard output stays empty."""
    project.profile()
    project.write("tests/demo/runbook.md", "no front matter")
    answer = project.ask("environments", "--json")
    assert (answer.status, answer.out) == (3, "")
    assert "tests/demo/runbook.md:1" in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_environment_is_wrong_usage(project: Project) -> None:
    """Who asks for an environment that does not exist learns which do."""
    project.profile()
    for action in ("--check", "--pin"):
        answer = project.ask("environments", action, "porduction")
        assert (answer.status, answer.out) == (2, "")
        assert "got porduction; expected one of demo." in answer.err


@pytest.mark.parametrize("arguments", [[], ["environment"], ["environments", "--check", "a", "--pin", "b"]])
def test_wrong_usage_is_a_status_of_its_own(project: Project, arguments: list[str]) -> None:
    """What the command line does not allow ends with 2 and the usage."""
    answer = project.ask(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("usage: signoff")


def test_a_reader_that_has_seen_enough_is_no_crash(project: Project) -> None:
    """A closed pipe, as `| head` leaves it, causes no traceback."""
    for number in range(200):
        project.profile(name=f"demo{number}")
    command = f"{sys.executable} -c 'from signoff.cli import main; raise SystemExit(main())' environments"
    process = subprocess.run(
        ["sh", "-c", f"{command} --json | head -1"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout, process.stderr) == ("[\n", "")


def test_the_help_states_the_exit_statuses(project: Project) -> None:
    """Each command's help explains what its exit status means."""
    for arguments in ([], ["environments"], ["checkpoints"]):
        answer = project.ask(*arguments, "--help")
        words = " ".join(answer.out.split())
        assert answer.status == 0
        assert "0 the answer is good, 1 the answer is bad, 2 wrong usage, 3 it could not be done" in words
