from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec
import pytest
from rich.console import Console
from rich.traceback import Traceback

from signoff.errors import SecretError
from signoff.secrets import MASK, Secret

CANARY = "correct-horse-battery-staple"


@pytest.fixture
def secret() -> Secret:
    """A secret that must come out nowhere."""
    return Secret(CANARY, origin="a test")


@dataclass(frozen=True)
class Holder:
    """A configuration object as others keep it."""

    name: str
    password: Secret


OUTLETS: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": format,
    "f-string": lambda secret: f"{secret} {secret!r} {secret:>40}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the outlet under test
    "str.format": "{0} {0!r} {0.reveal} {0.origin}".format,
    "list": lambda secret: str([secret]),
    "dict": lambda secret: str({"password": secret}),
    "tuple": lambda secret: repr((secret, {1: secret})),
    "dataclass": lambda secret: repr(Holder("x", secret)),
    "asdict": lambda secret: repr(asdict(Holder("x", secret))),
    "pprint": lambda secret: pprint.pformat({"nested": [Holder("x", secret)]}),
    "attributes": lambda secret: repr([(name, getattr(secret, name)) for name in dir(secret)]),
    "json with default": lambda secret: json.dumps({"password": secret}, default=str),
    "msgspec with hook": lambda secret: msgspec.json.encode([secret], enc_hook=str).decode(),
    "copy": lambda secret: repr([copy.copy(secret), copy.deepcopy({"password": secret})]),
    "exception": lambda secret: repr(ValueError("refused", secret)) + str(ValueError(secret)),
}


@pytest.mark.parametrize("outlet", OUTLETS)
def test_no_printable_form_shows_a_secret(secret: Secret, outlet: str) -> None:
    """Every way to turn an object, or a container of it, into text gives a mask instead of the secret."""
    assert CANARY not in str(OUTLETS[outlet](secret))


ENCODERS: dict[str, Callable[[Secret], object]] = {
    "json": json.dumps,
    "json vars": lambda secret: json.dumps(secret, default=vars),
    "msgspec json": msgspec.json.encode,
    "msgspec msgpack": msgspec.msgpack.encode,
    "msgspec builtins": msgspec.to_builtins,
    "pickle": pickle.dumps,
    "pickle in a container": lambda secret: pickle.dumps({"password": [secret]}),
    "hash": hash,
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_refuse_a_secret(secret: Secret, encoder: str) -> None:
    """What serialises objects gets an error, and the error does not show the secret either."""
    with pytest.raises((TypeError, SecretError)) as refusal:
        ENCODERS[encoder](secret)
    assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_a_log_does_not_show_a_secret(secret: Secret) -> None:
    """Logging a secret, directly, in arguments or with an exception, writes a mask."""
    stream = io.StringIO()
    logger = logging.getLogger("canary")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("password %s in %r", secret, {"password": secret})
    try:
        int(secret)  # type: ignore[call-overload] # its message names the argument
    except TypeError:
        logger.exception("failed with %s", secret)
    assert MASK in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_traceback_with_locals_does_not_show_a_secret(secret: Secret) -> None:
    """A traceback that prints all locals shows where the secret came from and not what it is."""

    def connect(password: Secret) -> None:
        options = {"password": password}
        raise RuntimeError(str(sorted(options)))

    with pytest.raises(RuntimeError) as raised:
        connect(secret)
    error = raised.value
    plain = "".join(
        traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True).format()
    )
    written = io.StringIO()
    Console(file=written, width=200).print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    )
    rich = written.getvalue()
    assert "Secret from a test" in plain
    assert "Secret from a test" in rich
    assert CANARY not in plain + rich


def test_reveal_gives_the_value(secret: Secret) -> None:
    """The one call that needs the value gets it."""
    assert secret.reveal() == CANARY


def test_secrets_are_compared_by_value_and_never_with_text(secret: Secret) -> None:
    """Two secrets of the same value are equal, whatever their origin; a text never equals a secret."""
    assert secret == Secret(CANARY, origin="elsewhere")
    assert secret != Secret(CANARY + "x", origin="a test")
    assert secret != CANARY


def test_a_secret_that_is_not_ascii_can_be_compared() -> None:
    """Values beyond ASCII, also bytes that are no text, are compared like others."""
    assert Secret("pässwörd", origin="a") == Secret("pässwörd", origin="b")
    assert Secret("\udcff", origin="a") != Secret("\udcfe", origin="a")
