from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from signoff.environment import (
    COMPONENTS,
    Declarations,
    Profile,
    SystemDeclaration,
    inspect_profile,
    load_profile,
)
from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    ProfileError,
    RunbookError,
    SecretError,
)
from signoff.runbook import load_runbooks

ROOT = Path(__file__).parents[2]

FACTS: dict[str, str | int] = {
    "directory": "facts",
    "postgres_host": "127.0.0.1",
    "postgres_port": 5433,
    "replica_port": "5434",
    "system_identifier": 7301,
    "psql": "/opt/bin/psql",
    "rabbitmq_url": "http://127.0.0.1:15672",
    "rabbitmq_missing": "",
}

STACK = """
schema = 1
name = "prod"
description = "Booted for the run"
promotes = false
destructive = "always"
[stack]
command = ["{python}", "-m", "stack"]
ready_within = "90s"
"""

BOOTED = """
[systems.codex_memory.postgres]
host = "{stack:postgres_host}"
port = "{stack:postgres_port}"
database = "codex_memory"
user = "monitor"
password = { file = "{stack:directory}/monitor.password" }
tls = "disable"
system_identifier = "{stack:system_identifier}"
[systems.codex_memory.postgres.replica]
host = "{stack:postgres_host}"
port = "{stack:replica_port}"
[systems.codex_memory.procedures.apply]
command = ["{psql}", "-p", "{postgres.port}", "{postgres.roles.administrator.user}", "{{root}} {root} {1}"]
environment = { PGPASSWORD = { file = "{stack:directory}/monitor.password" }, PGHOST = "{postgres.host}" }
[systems.codex_memory.postgres.roles.administrator]
user = "dba"
password = { file = "{stack:directory}/monitor.password" }
[systems.codex_memory.rabbitmq]
absent_if = "{stack:rabbitmq_missing}"
url = "{stack:rabbitmq_url}"
user = "observer"
password = { file = "{stack:directory}/monitor.password" }
"""


@pytest.fixture
def load(declarations: Declarations) -> Callable[[Path], Profile]:
    """Loads a profile against the declarations of these tests."""
    return lambda path: load_profile(path, declarations)


@pytest.fixture
def booted(write: Callable[..., Path], load: Callable[[Path], Profile], directory: Path) -> Profile:
    """A profile with a stack that is not up yet, whose secret will lie beside the folder of profiles."""
    facts = directory.parent / "facts"
    facts.mkdir()
    secret = facts / "monitor.password"
    secret.write_text("battery-staple\n")
    secret.chmod(0o600)
    return load(write(BOOTED, head=STACK, postgres=""))


def test_a_profile_holds_what_its_file_says(
    write: Callable[..., Path], load: Callable[[Path], Profile], directory: Path
) -> None:
    """Keys become attributes of their types, with the documented defaults for those left out."""
    profile = load(
        write(
            'port = 6000\ntimeouts = { statement = "2m", lock = "500ms" }\n'
            '[systems.codex_memory.host]\nvia = ["ssh", "db1"]\n'
            '[limits.SEC-055.duration]\nlimit = 60\nreason = "shared"\n'
            '[limits.SEC-056.kinds]\nlimit = ["a", 1]\nreason = "shared"\n'
        )
    )
    postgres = profile.system("codex_memory").component("postgres")
    assert (profile.name, profile.promotes, profile.destructive) == ("prod", True, "approval")
    assert (profile.root, profile.file) == (directory.parent, "environments/prod.toml")
    assert (postgres.host, postgres.port, postgres.database) == ("db1.example.org", 6000, "codex_memory")
    assert (postgres.tls, postgres.system_identifier) == ("verify-full", None)
    assert [float(getattr(postgres.timeouts, name)) for name in ("connect", "statement", "lock")] == [
        5,
        120,
        0.5,
    ]
    assert postgres.password is not None
    assert postgres.password.reveal() == "correct-horse"
    assert profile.system("codex_memory").component("host").via == ("ssh", "db1")
    assert profile.limits_of("SEC-055")["duration"].limit == 60
    assert profile.limits_of("SEC-056")["kinds"].limit == ("a", 1)
    assert profile.limits_of("SEC-001") == {}


def test_absent_and_not_configured_are_told_apart(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """What the profile declares absent raises its reason; what it does not mention is not configured."""
    system = load(
        write(
            'replica = { absent = "one server" }\n'
            'roles.application = { absent = "nobody logs in" }\n'
            '[systems.codex_memory.redis]\nabsent = "no cache"\n'
            '[systems.codex_memory.artifacts.report]\nabsent = "no tests"\n'
            '[systems.codex_memory.procedures.apply]\nabsent = "nothing to apply"\n'
        )
    ).system("codex_memory")
    absent: dict[str, Callable[[], object]] = {
        "no cache": lambda: system.component("redis"),
        "one server": lambda: system.component("postgres").as_replica(),
        "nobody logs in": lambda: system.component("postgres").as_role("application"),
        "no tests": lambda: system.artifact("report"),
        "nothing to apply": lambda: system.procedure("apply"),
    }
    for reason, ask in absent.items():
        with pytest.raises(ComponentAbsent, match=reason):
            ask()
    missing: dict[str, Callable[[], object]] = {
        "systems.codex_memory.kubernetes": lambda: system.component("kubernetes"),
        "systems.codex_memory.postgres.roles.administrator": lambda: system.component("postgres").as_role(
            "administrator"
        ),
        "systems.codex_memory.procedures.rollback": lambda: system.procedure("rollback"),
    }
    for key, ask in missing.items():
        with pytest.raises(ComponentNotConfigured) as refusal:
            ask()
        assert refusal.value.subject == f"environments/prod.toml: {key}"
    assert list(system.configured()) == ["postgres"]


def test_a_replica_that_is_not_mentioned_is_not_configured(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """Saying nothing about a standby is not the same as having none."""
    with pytest.raises(ComponentNotConfigured, match=r"postgres\.replica"):
        load(write()).system("codex_memory").component("postgres").as_replica()


def test_a_system_that_is_not_described_is_not_configured(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """A runbook about a system that the profile leaves out cannot be verified there."""
    with pytest.raises(ComponentNotConfigured, match="Did you mean codex_memory"):
        load(write()).system("codex_memroy")


def test_names_and_settings_come_from_the_profile_or_the_runbook(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """A declared value is that of the profile if given and the runbook's default otherwise, in its type."""
    system = load(
        write(
            '[systems.codex_memory.names]\nmemories = "mem"\n'
            '[systems.codex_memory.settings]\npool_size = 20\npanels = ["a", 2]\nsla_p95_ms = 1.5\n'
        )
    ).system("codex_memory")
    assert (system.name("memories"), system.name("summaries")) == ("mem", "memory_summaries")
    assert system.setting("pool_size") == 20
    assert system.setting("panels") == ("a", 2)
    assert system.setting("sla_p95_ms") == 1.5
    assert system.setting("drain_within") == 3600.0
    assert system.setting("alert") == ""
    with pytest.raises(ComponentNotConfigured, match="Did you mean memories"):
        system.name("memorys")


def test_a_setting_without_value_and_default_is_not_configured(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """A value that only the environment can know must be given by it."""
    with pytest.raises(ComponentNotConfigured, match="the runbook gives no default"):
        load(write()).system("codex_memory").setting("pool_size")


def test_a_system_without_a_runbook_is_checked_for_its_shape(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """A system that says that no runbook is about it may name what it likes, but not misspell a component."""
    jivs = '[systems.jivs]\nwithout_runbook = "later"\n[systems.jivs.names]\nbackend = "jivs-backend"\n'
    system = load(write(jivs + "[systems.jivs.settings]\nnodes = 3\n")).system("jivs")
    assert (system.name("backend"), system.setting("nodes")) == ("jivs-backend", 3)
    with pytest.raises(ProfileError, match="Did you mean namespace"):
        load(write(jivs + '[systems.jivs.kubernetes]\ncontext = "c"\nnamespcae = "n"\n'))


def test_paths_start_from_the_project(
    write: Callable[..., Path],
    load: Callable[[Path], Profile],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Artifacts and secret files may be named relative to the folder above environments/."""
    secret = directory.parent / "monitor.password"
    secret.write_text("battery-staple")
    secret.chmod(0o600)
    path = write(
        '[systems.codex_memory.artifacts]\nreport = { path = "out/junit.xml" }\n',
        postgres='[systems.codex_memory.postgres]\nhost = "h"\ndatabase = "d"\nuser = "u"\n'
        'password = { file = "monitor.password" }\n',
    )
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    profile = load(path)
    system = profile.system("codex_memory")
    assert system.artifact("report").path == str(directory.parent / "out/junit.xml")
    assert [secret.reveal() for secret in profile.secrets] == ["battery-staple"]
    assert profile.file == str(path)


def test_the_stack_fills_placeholders_in(booted: Profile, directory: Path) -> None:
    """Facts of the stack become texts, numbers and paths of the profile; commands get connection facts."""
    assert booted.stack is not None
    assert booted.stack.command == (sys.executable, "-m", "stack")
    assert float(booted.stack.ready_within) == 90
    profile = booted.with_stack(FACTS)
    system = profile.system("codex_memory")
    postgres = system.component("postgres")
    assert (postgres.host, postgres.port, postgres.system_identifier) == ("127.0.0.1", 5433, "7301")
    replica = postgres.as_replica()
    assert (replica.port, replica.user, replica.password) == (5434, "monitor", postgres.password)
    procedure = system.procedure("apply")
    root = directory.parent
    assert procedure.command == ("/opt/bin/psql", "-p", "5433", "dba", f"{{root}} {root} {{1}}")
    assert procedure.environment["PGHOST"] == "127.0.0.1"
    assert procedure.environment["PGPASSWORD"] == postgres.password
    assert profile.redactor.redact("battery-staple") == "[redacted]"


def test_systems_of_a_stack_cannot_be_asked_for_before_it_is_up(booted: Profile) -> None:
    """A profile that waits for its stack has no systems yet."""
    with pytest.raises(ProfileError, match="that are not filled in"):
        booted.system("codex_memory")


def test_a_fact_that_the_stack_does_not_give_is_named(booted: Profile) -> None:
    """A placeholder for an unknown fact is an error of its key, with the nearest fact."""
    with pytest.raises(ProfileError) as refusal:
        booted.with_stack({**{k: v for k, v in FACTS.items() if k != "replica_port"}, "replicas_port": 1})
    assert refusal.value.subject == "environments/prod.toml: systems.codex_memory.postgres.replica.port"
    assert "Did you mean replicas_port?" in refusal.value.next_step


def test_what_the_stack_could_not_bring_up_is_absent(booted: Profile) -> None:
    """A component is absent for the reason that the stack gives, and there when it gives none."""
    with_all = booted.with_stack(FACTS).system("codex_memory")
    assert with_all.component("rabbitmq").url == "http://127.0.0.1:15672"
    without = booted.with_stack({**FACTS, "rabbitmq_missing": "no rabbitmq-server here", "rabbitmq_url": ""})
    with pytest.raises(ComponentAbsent, match="no rabbitmq-server here"):
        without.system("codex_memory").component("rabbitmq")


def test_a_fact_of_a_wrong_type_is_named(booted: Profile) -> None:
    """A fact that does not fit its key is an error of that key."""
    with pytest.raises(ProfileError, match=r'postgres\.port: got "five"; expected a port'):
        booted.with_stack({**FACTS, "postgres_port": "five"})


def test_facts_need_a_stack(write: Callable[..., Path], load: Callable[[Path], Profile]) -> None:
    """A profile without a stack takes no facts."""
    with pytest.raises(ProfileError, match=r"the profile has no \[stack\]"):
        load(write()).with_stack(FACTS)


def test_who_observes_needs_no_secret_of_who_changes(
    write: Callable[..., Path], declarations: Declarations
) -> None:
    """Without destructive tests, secrets of administrators and procedures are neither needed nor fetched."""
    path = write(
        '[systems.codex_memory.postgres.roles.administrator]\nuser = "dba"\n'
        'password = { env = "DBA_PASSWORD" }\n'
        '[systems.codex_memory.procedures.apply]\ncommand = ["x"]\n'
        'environment = { PGPASSWORD = { env = "DBA_PASSWORD" } }\n'
    )
    with pytest.raises(SecretError, match="2 problems"):
        load_profile(path, declarations)
    profile = load_profile(path, declarations, destructive=False)
    administrator = profile.system("codex_memory").component("postgres").as_role("administrator")
    assert administrator.password is not None
    with pytest.raises(
        SecretError, match=r"roles\.administrator\.password: got a secret that was not fetched"
    ):
        administrator.password.reveal()
    assert [secret.reveal() for secret in profile.secrets] == ["correct-horse"]


def test_an_environment_that_always_allows_changes_needs_all_secrets(
    write: Callable[..., Path], declarations: Declarations
) -> None:
    """Where destructive tests need no permission, their secrets are fetched like all others."""
    path = write(
        '[systems.codex_memory.postgres.roles.administrator]\nuser = "dba"\n'
        'password = { env = "DBA_PASSWORD" }\n',
        head='schema = 1\nname = "prod"\ndescription = "d"\npromotes = false\ndestructive = "always"\n',
    )
    with pytest.raises(SecretError, match="DBA_PASSWORD"):
        load_profile(path, declarations, destructive=False)


def test_a_run_needs_no_secret_of_systems_that_it_is_not_about(
    write: Callable[..., Path], declarations: Declarations
) -> None:
    """Only the systems of the selected runbooks have to be unlocked; asking for another secret says why."""
    path = write(
        '[systems.jivs]\nwithout_runbook = "later"\n'
        '[systems.jivs.rabbitmq]\nurl = "https://r"\nuser = "u"\npassword = { env = "RABBITMQ_PASSWORD" }\n'
    )
    with pytest.raises(SecretError, match="RABBITMQ_PASSWORD"):
        load_profile(path, declarations)
    profile = load_profile(path, declarations, systems={"codex_memory"})
    assert [secret.reveal() for secret in profile.secrets] == ["correct-horse"]
    with pytest.raises(SecretError, match="Select a runbook about this system"):
        profile.system("jivs").component("rabbitmq").password.reveal()


def test_a_secret_is_fetched_once(
    write: Callable[..., Path], load: Callable[[Path], Profile], directory: Path
) -> None:
    """A reference that stands in several places, and with a stack in two readings, is asked for once."""
    log = directory / "asked"
    code = f"open({str(log)!r}, 'a').write('asked '); print('battery-staple')"
    reference = f"{{ command = ['{sys.executable}', '-c', \"{code}\"] }}"
    load(
        write(
            f'password = {reference}\n[systems.codex_memory.postgres.roles.application]\nuser = "a"\n'
            f"password = {reference}\n",
            head=STACK,
            postgres='[systems.codex_memory.postgres]\nhost = "h"\ndatabase = "d"\nuser = "u"\n',
        )
    ).with_stack(FACTS)
    assert log.read_text() == "asked "


def test_inspecting_runs_no_command_and_lists_missing_secrets(
    write: Callable[..., Path], declarations: Declarations, directory: Path
) -> None:
    """A profile can be judged without its secrets; a missing one is listed and no fault of the file."""
    ran = directory / "ran"
    path = write(
        '[systems.codex_memory.postgres.roles.application]\nuser = "a"\npassword = { env = "APP_PASSWORD" }\n'
        '[systems.codex_memory.metrics]\nurl = "https://p"\n'
        f"token = {{ command = ['{sys.executable}', '-c', \"open({str(ran)!r}, 'w')\"] }}\n"
    )
    inspection = inspect_profile(path, declarations)
    assert inspection.is_valid
    assert [problem.key for problem in inspection.missing_secrets] == [
        "systems.codex_memory.postgres.roles.application.password"
    ]
    assert not ran.exists()
    path.write_text(path.read_text() + "prot = 1\n")
    assert not inspect_profile(path, declarations).is_valid


def test_a_profile_does_not_show_its_secrets(
    write: Callable[..., Path], load: Callable[[Path], Profile]
) -> None:
    """Printing a profile, or part of it, shows where secrets come from; pickling it is refused."""
    profile = load(write())
    shown = repr(profile) + repr(profile.system("codex_memory")) + str(vars(profile))
    assert "environment variable MONITOR_PASSWORD" in shown
    assert "correct-horse" not in shown
    with pytest.raises(SecretError):
        pickle.dumps(profile.system("codex_memory"))


def test_declarations_merge_the_runbooks_of_a_system(tmp_path: Path) -> None:
    """Runbooks of one system declare one vocabulary; a contradiction between them is an error."""
    head = "---\ntitle: T\nsystem: codex_memory\nowner: O\nsign_off: [R]\nrollback_decided_by: R\n"
    for name, table in (("one", "users"), ("two", "users"), ("three", "people")):
        folder = tmp_path / name
        folder.mkdir()
        identifier = {"one": "ONE-1", "two": "TWO-1", "three": "THR-1"}[name]
        (folder / "runbook.md").write_text(
            f"{head}names:\n  users: {table}\n  of_{name}: x\n---\n# T\n\n"
            f"## Stage {{#stage}}\n\n- [ ] **{identifier}** It holds.\n"
        )
    one, three, two = load_runbooks(tmp_path)
    declarations = Declarations.of([one, two])
    assert declarations.systems["codex_memory"].names == {"users": "users", "of_one": "x", "of_two": "x"}
    assert declarations.checkpoints == {"ONE-1", "TWO-1"}
    with pytest.raises(RunbookError, match=r"names\.users"):
        Declarations.of([one, three])


@pytest.mark.parametrize("name", ["local", "prod", "staging"])
def test_the_profiles_of_this_suite_are_valid(name: str) -> None:
    """The shipped profiles fit the shipped runbooks and lack nothing but secrets."""
    declarations = Declarations.of(load_runbooks(ROOT / "tests"))
    inspection = inspect_profile(ROOT / "environments" / f"{name}.toml", declarations)
    assert inspection.is_valid, inspection.problems
    assert (name == "local") == (inspection.missing_secrets == ())


@pytest.mark.parametrize("name", ["prod", "staging"])
def test_the_templates_speak_of_every_component_of_every_system(name: str) -> None:
    """For each system the templates describe every component, or say why there is none."""
    declarations = Declarations.of(load_runbooks(ROOT / "tests"))
    profile = inspect_profile(ROOT / "environments" / f"{name}.toml", declarations).profile
    assert profile is not None
    assert set(profile.systems) == {"codex_memory", "cowrieprocessor", "jivs"}
    for system in profile.systems.values():
        assert [part for part in COMPONENTS if getattr(system, part) is None] == []


def test_a_system_that_no_runbook_is_about_is_refused(
    write: Callable[..., Path],
) -> None:
    """A system that no runbook is about is an error unless the profile says why it is there."""
    with pytest.raises(ProfileError, match="a system that no runbook is about"):
        load_profile(write(), Declarations(systems={"other": SystemDeclaration()}))
