"""Values of a profile that are not tables: what each may look like, and how a message calls it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from signoff.environment.components import Address, Port, Seconds, Url
from signoff.environment.model import LimitValue
from signoff.environment.placeholders import Filled
from signoff.secrets import holds_secret

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_MAX_PORT: Final = 65535


def text(value: Any) -> str:
    """A text that is not empty."""
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return str(value)
    raise ValueError


def any_text(value: Any) -> str:
    """A text, which may be empty."""
    return str(value) if value == "" else text(value)


def boolean(value: Any) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise ValueError


def integer(value: Any) -> int:
    """An integer, or the digits of one that came from the stack."""
    if isinstance(value, Filled):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def number(value: Any) -> int | float:
    """A finite number."""
    if isinstance(value, float) and math.isfinite(value):
        return value
    return integer(value)


def duration(value: Any) -> Seconds:
    """A duration longer than zero, in seconds; written with its unit."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match and (seconds := float(match[1]) * _UNITS[match[2]]) > 0:
        return Seconds(seconds)
    raise ValueError


def port(value: Any) -> Port:
    """A TCP port."""
    if 1 <= integer(value) <= _MAX_PORT:
        return Port(integer(value))
    raise ValueError


def url(value: Any) -> Url:
    """An http or https address without a password."""
    parts = urlsplit(text(value))
    if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc:
        return Url(text(value))
    raise ValueError


def address(value: Any) -> Address:
    """``host:port``."""
    host, _, digits = text(value).rpartition(":")
    if host and digits.isascii() and digits.isdigit() and 1 <= int(digits) <= _MAX_PORT:
        return Address(text(value))
    raise ValueError


def limit(value: Any) -> LimitValue:
    """A number, a text, or a list of them."""
    if isinstance(value, list) and value:
        return tuple(text(item) if isinstance(item, str) else number(item) for item in value)
    return text(value) if isinstance(value, str) else number(value)


def items(value: Any) -> tuple[Any, ...]:
    """A list of texts and numbers."""
    if isinstance(value, list):
        return tuple(text(item) if isinstance(item, str) else number(item) for item in value)
    raise ValueError


SCALARS: Final[Mapping[Any, tuple[str, Callable[[Any], Any]]]] = {
    str: ("a text", text),
    bool: ("true or false", boolean),
    int: ("an integer", integer),
    Seconds: ('a duration such as "30s" or "5m"', duration),
    Port: ("a port, 1 to 65535", port),
    Url: ("an http or https address without a password", url),
    Address: ('"host:port"', address),
    LimitValue: ("a number, a text, or a list of them", limit),
}
"""Type of a field → how it is called in a message, and what reads it."""

SETTINGS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "number": ("a number", number),
    "integer": ("an integer", integer),
    "text": ("a text", any_text),
    "duration": SCALARS[Seconds],
    "list": ("a list of texts and numbers", items),
}
"""Type of a declared setting → the same."""


def describe(value: Any) -> str:
    """A value of the wrong type, for a message: its type, and the value where it is short and plain."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        if not value.strip():
            return "an empty text"
        return "a text that holds a secret" if holds_secret(value) else f'"{value[:80]}"'
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
