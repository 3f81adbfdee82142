"""Bad profiles: each gets an answer that names the file and the key, and shows no secret."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.environment import Declarations, available_profiles, inspect_profile, load_profile
from signoff.errors import ProfileError, SecretError

FILE = "environments/prod.toml"
C = "systems.codex_memory"


@dataclass(frozen=True)
class Bad:
    """A mistake, the key that the answer must name, and what the answer must say."""

    tables: str
    key: str
    says: str
    postgres: str | None = None
    head: str | None = None


HEAD = 'schema = 1\nname = "prod"\ndescription = "d"\npromotes = true\ndestructive = "approval"\n'
PG = f'[{C}.postgres]\nhost = "h"\ndatabase = "d"\nuser = "u"\n'
SECRET = 'password = { env = "MONITOR_PASSWORD" }\n'
APPLY = f"[{C}.procedures.apply]\n"

BAD: dict[str, Bad] = {
    # keys
    "unknown key of a component": Bad("", f"{C}.postgres.prot", "Did you mean port?", PG + "prot = 1\n"),
    "unknown key at the top": Bad("", "promote", "Did you mean promotes?", head=HEAD + "promote = true\n"),
    "unknown component": Bad(f"[{C}.postgre]\n", f"{C}.postgre", "Did you mean postgres?"),
    "missing key": Bad(
        "", f"{C}.postgres.host", "got nothing; expected a text", PG.replace('host = "h"\n', "")
    ),
    "missing head": Bad(
        "", "destructive", "expected one of never, approval, always", head=HEAD.partition("destr")[0]
    ),
    # types
    "wrong type": Bad("", f"{C}.postgres.port", 'got "5432"; expected a port', PG + 'port = "5432"\n'),
    "truth as a number": Bad("", f"{C}.postgres.port", "got true; expected a port", PG + "port = true\n"),
    "port out of range": Bad(
        "", f"{C}.postgres.port", "got 70000; expected a port, 1 to 65535", PG + "port = 70000\n"
    ),
    "text as truth": Bad(
        "", "promotes", 'got "yes"; expected true or false', head=HEAD.replace("true", '"yes"')
    ),
    "wrong word": Bad(
        "", "destructive", "Did you mean approval?", head=HEAD.replace('"approval"', '"aproval"')
    ),
    "wrong schema": Bad(
        "", "schema", "got 2; expected one of 1", head=HEAD.replace("schema = 1", "schema = 2")
    ),
    "empty text": Bad("", f"{C}.postgres.user", "got an empty text", PG.replace('"u"', '" "')),
    "duration without a unit": Bad(
        "", f"{C}.postgres.timeouts.lock", "got 30; expected a duration", PG + "timeouts = { lock = 30 }\n"
    ),
    "duration of zero": Bad(
        "",
        f"{C}.postgres.timeouts.lock",
        'got "0s"; expected a duration',
        PG + 'timeouts = { lock = "0s" }\n',
    ),
    "text instead of a table": Bad(
        '[systems.codex_memory]\nhost = "db1"\n', f"{C}.host", 'got "db1"; expected a table', ""
    ),
    "text instead of a list": Bad(
        APPLY + 'command = "psql -f x"\n', f"{C}.procedures.apply.command", 'got "psql -f x"; expected a list'
    ),
    "empty command": Bad(APPLY + "command = []\n", f"{C}.procedures.apply.command", "an empty list"),
    "number in a list of texts": Bad(
        f'[{C}.host]\nvia = ["ssh", 1]\n', f"{C}.host.via[1]", "got 1; expected a text"
    ),
    "address without http": Bad(
        f'[{C}.metrics]\nurl = "prometheus:9090"\n', f"{C}.metrics.url", "expected an http or https address"
    ),
    "systems as a text": Bad("", "systems", "expected a table", "", HEAD + 'systems = "all"\n'),
    "component of every kind is checked": Bad(
        f'[{C}.redis]\nhost = "r"\nmode = "clustr"\n', f"{C}.redis.mode", "Did you mean cluster?"
    ),
    # secrets
    "secret inline": Bad(
        "",
        f"{C}.postgres.password",
        "a secret written into the file; expected { env =",
        PG + 'password = "canary-hunter2"\n',
    ),
    "secret as a number": Bad("", f"{C}.postgres.password", "expected { env =", PG + "password = 12345\n"),
    "secret of two kinds": Bad(
        "",
        f"{C}.postgres.password",
        "exactly one of these ways",
        PG + 'password = { env = "A", file = "B" }\n',
    ),
    "secret of no kind": Bad(
        "", f"{C}.postgres.password", "keys vault", PG + 'password = { vault = "canary-hunter2" }\n'
    ),
    "secret in a variable": Bad(
        APPLY + 'command = ["x"]\nenvironment = { PGPASSWORD = "canary-hunter2" }\n',
        f"{C}.procedures.apply.environment.PGPASSWORD",
        "a secret written into the file",
    ),
    "secret in an argument": Bad(
        APPLY + 'command = ["psql", "postgresql://u:canary-hunter2@h/d"]\n',
        f"{C}.procedures.apply.command[1]",
        "a text that holds a secret",
    ),
    "secret in an address": Bad(
        f'[{C}.metrics]\nurl = "https://u:canary-hunter2@h/"\n', f"{C}.metrics.url", "without a password"
    ),
    "timeout for a variable": Bad(
        "",
        f"{C}.postgres.password",
        "exactly one of these ways",
        PG + 'password = { env = "A", timeout = "1s" }\n',
    ),
    # absent
    "absent without a reason": Bad(
        f'[{C}.redis]\nabsent = ""\n', f"{C}.redis.absent", "expected the reason why it does not exist"
    ),
    "absent as truth": Bad(
        f"[{C}.redis]\nabsent = true\n", f"{C}.redis.absent", "expected the reason why it does not exist"
    ),
    "absent and present": Bad(f'[{C}.host]\nabsent = "none"\nvia = []\n', f"{C}.host.via", "`absent` alone"),
    "absent if something that is always so": Bad(
        f'[{C}.redis]\nabsent_if = "no cache"\nhost = "cache"\nmode = "standalone"\n',
        f"{C}.redis.absent_if",
        "a placeholder that the stack fills",
    ),
    "absent where it cannot be": Bad(
        '[systems.codex_memory]\nabsent = "none"\n', f"{C}.absent", "an unknown key", ""
    ),
    # what the runbooks declare
    "unknown system": Bad("[systems.codex_memroy]\n", "systems.codex_memroy", "Did you mean codex_memory?"),
    "unknown name": Bad(f'[{C}.names]\nmemorys = "m"\n', f"{C}.names.memorys", "Did you mean memories?"),
    "unknown setting": Bad(
        f"[{C}.settings]\npoolsize = 3\n", f"{C}.settings.poolsize", "Did you mean pool_size?"
    ),
    "unknown artifact": Bad(
        f'[{C}.artifacts.raport]\npath = "x"\n', f"{C}.artifacts.raport", "Did you mean report?"
    ),
    "unknown procedure": Bad(
        f'[{C}.procedures.aply]\ncommand = ["x"]\n', f"{C}.procedures.aply", "Did you mean apply?"
    ),
    "unknown role": Bad(
        f'[{C}.postgres.roles.aplication]\nuser = "x"\n',
        f"{C}.postgres.roles.aplication",
        "Did you mean application?",
    ),
    "setting of a wrong type": Bad(
        f'[{C}.settings]\npool_size = "20"\n', f"{C}.settings.pool_size", 'got "20"; expected an integer'
    ),
    "setting that is no number": Bad(
        f"[{C}.settings]\nsla_p95_ms = nan\n", f"{C}.settings.sla_p95_ms", "got nan; expected a number"
    ),
    "name of a wrong type": Bad(
        f"[{C}.names]\nmemories = 3\n", f"{C}.names.memories", "got 3; expected a text"
    ),
    "runbook after all": Bad(
        '[systems.codex_memory]\nwithout_runbook = "later"\n', f"{C}.without_runbook", "Remove the key", ""
    ),
    # limits
    "limit of an unknown checkpoint": Bad(
        '[limits.SEC-555.load]\nlimit = 1\nreason = "r"\n', "limits.SEC-555", "Did you mean SEC-055?"
    ),
    "limit without a reason": Bad(
        "[limits.SEC-055.load]\nlimit = 1\n", "limits.SEC-055.load.reason", "got nothing"
    ),
    "limit that is none": Bad(
        '[limits.SEC-055.load]\nlimit = true\nreason = "r"\n',
        "limits.SEC-055.load.limit",
        "got true; expected a number, a text, or a list",
    ),
    # placeholders
    "placeholder without a stack": Bad(
        "", f"{C}.postgres.host", "the profile has no [stack]", PG.replace('"h"', '"{stack:postgres_host}"')
    ),
    "unknown placeholder": Bad(
        APPLY + 'command = ["{pslq}"]\n', f"{C}.procedures.apply.command[0]", "Did you mean psql?"
    ),
    "placeholder of an unknown role": Bad(
        APPLY + 'command = ["{postgres.roles.admin.user}"]\n',
        f"{C}.procedures.apply.command[0]",
        "the unknown placeholder {postgres.roles.admin.user}",
    ),
    # syntax
    "system twice": Bad("[systems.x]\n[systems.x]\n", "systems.x", "a second table of this name at line 12"),
    "component twice": Bad(PG, f"{C}.postgres", "a second table of this name at line 11"),
    "key twice": Bad("", "line 10", "a key that is given twice", PG + 'user = "v"\n'),
    "not TOML": Bad("", "line 10", "a syntax error", PG + "port 5432\n"),
    "name of another file": Bad(
        "", "name", 'got "staging"; expected "prod"', head=HEAD.replace('"prod"', '"staging"')
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_named_with_file_and_key(
    write: Callable[..., Path], declarations: Declarations, mistake: str
) -> None:
    """One mistake gives one answer: the file, the key, what was found, what was expected, the next step."""
    bad = BAD[mistake]
    path = write(
        bad.tables,
        head=HEAD if bad.head is None else bad.head,
        postgres=PG + SECRET if bad.postgres is None else bad.postgres,
    )
    with pytest.raises(ProfileError) as refusal:
        load_profile(path, declarations)
    message = str(refusal.value)
    assert message.startswith(f"{FILE}: {bad.key}: got ")
    assert bad.says in message
    assert "canary" not in message
    assert "problems" not in message


def test_all_problems_of_a_file_are_reported_at_once(
    write: Callable[..., Path], declarations: Declarations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever corrects a profile learns of everything in one go, secrets that are missing included."""
    monkeypatch.delenv("MONITOR_PASSWORD")
    path = write(
        f"prot = 1\n[{C}.redis]\nabsent = ''\n[systems.other]\n[{C}.settings]\nx = 1\n",
        head=HEAD.replace('"approval"', '"sometimes"'),
    )
    with pytest.raises(ProfileError) as refusal:
        load_profile(path, declarations)
    message = str(refusal.value)
    assert not isinstance(refusal.value, SecretError)
    assert "got 6 problems" in message
    for key in (
        "destructive",
        "systems.codex_memory.postgres.prot",
        "systems.codex_memory.postgres.password",
        "systems.codex_memory.redis.absent",
        "systems.codex_memory.settings.x",
        "systems.other",
    ):
        assert f"\n  - {FILE}: {key}: got " in message


def test_missing_secrets_alone_are_an_error_of_their_own(
    write: Callable[..., Path], declarations: Declarations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A valid profile whose secret is not set raises SecretError: the shell is wrong, not the file."""
    monkeypatch.delenv("MONITOR_PASSWORD")
    with pytest.raises(
        SecretError, match="environment variable MONITOR_PASSWORD, which is not set"
    ) as refusal:
        load_profile(write(), declarations)
    assert refusal.value.subject == f"{FILE}: systems.codex_memory.postgres.password"


ENCODINGS = {
    "UTF-16": ("utf-16", "got UTF-16; expected a file in UTF-8"),
    "UTF-16 without a mark": ("utf-16-le", "got UTF-16; expected a file in UTF-8"),
    "Latin-1": ("latin-1", "line 2: got the byte 0xfc, which is not UTF-8"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_wrong_encoding_is_named(directory: Path, declarations: Declarations, encoding: str) -> None:
    """A file that is not UTF-8 is refused with the line, or with the encoding that it has."""
    codec, says = ENCODINGS[encoding]
    path = directory / "prod.toml"
    path.write_bytes('schema = 1\nname = "prüf"\n'.encode(codec))
    with pytest.raises(ProfileError) as refusal:
        load_profile(path, declarations)
    assert says in str(refusal.value)
    assert str(refusal.value).startswith(FILE)


def test_a_byte_order_mark_does_no_harm(write: Callable[..., Path], declarations: Declarations) -> None:
    """A profile that an editor saved with a byte order mark is read like any other."""
    path = write()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_profile(path, declarations).name == "prod"


def test_an_unknown_environment_lists_those_that_exist(
    write: Callable[..., Path], declarations: Declarations, directory: Path
) -> None:
    """A profile that does not exist is answered with the nearest and all existing ones."""
    write()
    write(name="local")
    with pytest.raises(ProfileError) as refusal:
        load_profile(directory / "porduction.toml", declarations)
    assert refusal.value.subject == "environments/porduction.toml"
    assert "Known here: local, prod." in str(refusal.value)


def test_what_cannot_be_read_is_named(directory: Path, declarations: Declarations) -> None:
    """A folder in place of a file is an error of the profile like others."""
    (directory / "prod.toml").mkdir()
    with pytest.raises(ProfileError, match="a file that cannot be read: Is a directory"):
        load_profile(directory / "prod.toml", declarations)


def test_available_profiles_are_the_toml_files(directory: Path, write: Callable[..., Path]) -> None:
    """The environments are the TOML files of the folder, sorted; a folder that is not there has none."""
    write(name="prod")
    write(name="local")
    (directory / "README.md").touch()
    (directory / ".prod.toml.swp.toml").touch()
    assert available_profiles(directory) == ["local", "prod"]
    assert available_profiles(directory / "none") == []


FULL = """
[stack]
command = ["{python}"]
[systems.codex_memory.postgres]
host = "{stack:host}"
database = "d"
user = "u"
password = { command = ["true"], timeout = "1s" }
timeouts = { lock = "1s" }
replica = { host = "r", port = 1 }
roles.application = { absent = "none" }
[systems.codex_memory.host]
via = ["ssh"]
[systems.codex_memory.metrics]
url = "https://p"
grafana = { url = "https://g", token = { file = "t" } }
[systems.codex_memory.backups]
location = "/b"
objects = { database = "*.dump" }
[systems.codex_memory.names]
memories = "m"
[systems.codex_memory.settings]
panels = ["p"]
[systems.codex_memory.artifacts.report]
path = "r"
[systems.codex_memory.procedures.apply]
command = ["{psql}", "{postgres.port}"]
environment = { PGHOST = "{postgres.host}", PGPASSWORD = { env = "E" } }
[limits.SEC-055.load]
limit = [1, 2]
reason = "r"
"""

ANYTHING = st.recursive(
    st.one_of(
        st.sampled_from(
            [True, -1, 0, 1.5, float("nan"), "", "x", "1s", "{stack:host}", "{postgres.host}", "{x}"]
        ),
        st.dates(),
        st.datetimes(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["env", "file", "command", "timeout", "absent", "host", "ü"]), inner, max_size=2
        ),
    ),
    max_leaves=3,
)


def places(table: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value of a document, however deep."""
    members = (
        table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    )
    for name, value in members:
        yield (*path, name)
        yield from places(value, (*path, name))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_profile_is_accepted_or_named(
    write: Callable[..., Path], declarations: Declarations, data: st.DataObject
) -> None:
    """Any value in any place gives a profile, or problems with keys of the file, and nothing else."""
    document = tomllib.loads(HEAD + FULL)
    place = data.draw(st.sampled_from(list(places(document))))
    table: Any = document
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = data.draw(ANYTHING)
    path = write(head=tomlkit.dumps(document), postgres="")
    inspection = inspect_profile(path, declarations)
    for problem in inspection.problems:
        assert re.split(r"[.\[]", problem.key)[0] in document
