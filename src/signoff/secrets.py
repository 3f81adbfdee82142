"""Secrets: the one type that holds them, and their removal from everything that is written.

[`Secret`][signoff.secrets.Secret] has no printable form. What could still carry a secret (a server's
answer, a program's output, an error message) passes [`Redactor`][signoff.secrets.Redactor] at the one
place where evidence is written.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, NoReturn, final

from signoff.errors import SecretError

MASK: Final = "[redacted]"
"""What stands in place of a secret."""

SHORTEST: Final = 4
"""Known values with fewer characters are removed only where a secret is expected; see `Redactor`."""


@final
class Secret:
    """A secret value without a printable form.

    ``repr``, ``str``, ``format`` and ``%s`` give a mask; pickling is refused; JSON and msgspec refuse the
    type by themselves; a copy is the same object. Two secrets are compared in constant time.

    Args:
        value: the secret.
        origin: where it came from, in words that may be printed: ``environment variable X``.
    """

    __slots__ = ("_read", "origin")

    def __init__(self, value: str, *, origin: str) -> None:
        # A closure keeps the value out of slots and __dict__, so that tools which print all attributes
        # of an object (debuggers, inspect, rich) have nothing to print.
        self._read: Callable[[], str] = lambda: value
        self.origin = origin

    @classmethod
    def withheld(cls, *, origin: str, subject: str, reason: str) -> Secret:
        """A secret that this run has no business to know; to reveal it is an error.

        Args:
            origin: where it would come from.
            subject: the file and key that refer to it.
            reason: why it was not fetched, and what would change that.
        """

        def refuse() -> NoReturn:
            raise SecretError(
                subject,
                got="a secret that was not fetched",
                expected="a run that needs it",
                next_step=reason,
            )

        secret = cls("", origin=origin)
        secret._read = refuse
        return secret

    def reveal(self) -> str:
        """The value itself, for the one call that needs it; never keep or log the result."""
        return self._read()

    def __repr__(self) -> str:
        return f"<Secret from {self.origin}>"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.reveal()), _bytes(other.reveal()))

    # A hash would be a fast oracle for guesses.
    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretError(
            f"secret from {self.origin}",
            got="an attempt to pickle it",
            expected="secrets to stay in the process that resolved them",
            next_step="Send the reference instead and resolve it on the other side.",
        )


def _bytes(value: str) -> bytes:
    # Environment variables may hold bytes that are not UTF-8, which Python shows as lone surrogates.
    return value.encode("utf-8", "surrogateescape")


class Redactor:
    """Removes secrets from text.

    Two kinds are found: the known values, in any form that programs commonly give them (as they are,
    base64 also inside a longer encoded text such as Basic authentication, URL-encoded, escaped for JSON,
    Python or SQL, and line by line), and whatever stands where a secret is expected: the password of a
    URL, of a connection string or of an SQL command, an ``Authorization`` header, a private key.

    A known value of fewer than four characters is removed when it is the whole text or stands where a
    secret is expected: replacing each "1" of an answer would destroy the evidence and still show what the
    password is.

    Cut a text to its bound *after* redaction, never before: half a secret is not recognised.

    Args:
        values: the known secrets.
    """

    def __init__(self, values: Iterable[Secret] = ()) -> None:
        revealed = {secret.reveal() for secret in values}
        forms = {form for value in revealed if len(value) >= SHORTEST for form in _forms(value)}
        short = {value for value in revealed if len(value) < SHORTEST}
        # Closures, as in Secret: no attribute holds a value.
        self._is_short_value: Callable[[str], bool] = lambda text: text.strip() in short
        # Most texts hold none of them, and one pass over the beginnings tells.
        hint = re.compile("|".join({re.escape(form[:SHORTEST]) for form in forms}))
        self._known: Callable[[str], list[_Found]] = lambda text: (
            _occurrences(forms, text) if forms and hint.search(text) else []
        )
        self._reach = max(_LONGEST_MATCH, *(len(form) for form in forms), 0)

    def redact(self, text: str) -> str:
        """The text with `MASK` in place of every secret; redacting twice changes nothing more."""
        if self._is_short_value(text):
            return MASK
        found = self._find(text)
        return _mask(text, found) if found else text

    def stream(self) -> RedactedStream:
        """A redactor for text that arrives in chunks, with the same result as for the whole text."""
        return RedactedStream(self._find, self._reach, self._is_short_value)

    def _find(self, text: str) -> list[_Found]:
        return self._known(text) + _expected(text)


class RedactedStream:
    """Redacts text chunk by chunk; a secret that is split over chunks is found.

    Text is given back as soon as no secret can reach into it any more, which is some 17,000 characters
    later: the length of the longest private key that is recognised.
    """

    def __init__(
        self, find: Callable[[str], list[_Found]], reach: int, is_short_value: Callable[[str], bool]
    ) -> None:
        self._find = find
        self._reach = reach
        self._is_short_value = is_short_value
        self._begun = False
        # The unredacted text must not be visible in a dump of the attributes.
        self._pending = Secret("", origin="a stream")

    def feed(self, chunk: str) -> str:
        """Take a chunk and give back what is certain by now."""
        pending = self._pending.reveal() + chunk
        self._pending = Secret(pending, origin="a stream")
        if len(pending) <= 2 * self._reach:
            return ""
        found = self._find(pending)
        cut = len(pending) - self._reach
        # What tells that a secret follows stays with the secret.
        for one in sorted(found, reverse=True):
            if one.begin < cut < one.end:
                cut = one.begin
        certain = _mask(pending[:cut], [one for one in found if one.end <= cut])
        self._pending = Secret(pending[cut:], origin="a stream")
        self._begun = True
        return certain

    def close(self) -> str:
        """Give back the rest."""
        rest, self._pending = self._pending, Secret("", origin="a stream")
        if not self._begun and self._is_short_value(rest.reveal()):
            return MASK
        return _mask(rest.reveal(), self._find(rest.reveal()))


def holds_secret(text: str) -> bool:
    """Whether something that looks like a secret is written into the text: a URL with a password, a key."""
    return bool(_expected(text))


class _Found(NamedTuple):
    """A secret in a text: where what announces it begins, and where it starts and ends itself."""

    begin: int
    start: int
    end: int


def _mask(text: str, found: Iterable[_Found]) -> str:
    parts: list[str] = []
    position = 0
    for start, end in sorted((one.start, one.end) for one in found):
        if start >= position:
            parts += [text[position:start], MASK]
        # Those that overlap share one mask.
        position = max(position, end)
    return "".join([*parts, text[position:]])


def _occurrences(forms: Iterable[str], text: str) -> list[_Found]:
    # str.find rather than one large regular expression: overlaps are found.
    found = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            found.append(_Found(start, start, start + len(form)))
            start = text.find(form, start + 1)
    return found


def _expected(text: str) -> list[_Found]:
    """Where the text's own shape says that a secret stands."""
    lowered = text.lower()
    if not [hint for hint in _HINTS if hint in lowered]:
        return []
    patterns = {pattern for word, pattern in _PATTERNS if word in lowered}
    return [
        _Found(match.start(), *match.span("secret"))
        for pattern in patterns
        for match in pattern.finditer(text)
        if match["secret"] != MASK
    ]


def _forms(value: str) -> Iterator[str]:
    """The forms in which programs print a value."""
    yield value
    for escaped in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        yield escaped[1:-1]
    yield value.replace("'", "''")
    for encoded in (urllib.parse.quote(value, safe="", errors="replace"), urllib.parse.quote_plus(value)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    content = value.encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(content).decode()
        # Inside a longer encoded text a value begins at one of three offsets; the first and last
        # character may share bits with its neighbours and are left out.
        for offset, first in enumerate((0, 2, 3)):
            last = (offset + len(content)) * 8 // 6
            yield encode(b"\0" * offset + content).decode()[first:last]
    yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= _LINE)


_LINE: Final = 8
"""Characters from which on a line of a secret of several lines is a secret by itself."""

# No pattern looks behind its start, and each has a longest match: streams rely on both.
_PATTERNS: Final = tuple(
    (word, re.compile(pattern, re.IGNORECASE))
    for words, pattern in (
        # URL: everything up to the last @, because passwords contain @ and / in the field; but
        # https://host:8080/…@… has a port there, not a password.
        (("://",), r"""://[^\s:/@"'<>]{0,256}:(?!\d{1,5}[/?#])(?P<secret>[^\s"'<>]{1,1024})@"""),
        (("authorization",), r"""authorization["']?\s{0,3}[:=]\s{0,3}["']?(?P<secret>[^"'\r\n]{1,8192})"""),
        (("bearer",), r"bearer\s{1,3}(?=\S{0,64}\d)(?P<secret>[a-z0-9._~+/=-]{8,8192})"),
        (
            ("password", "passwd", "secret", "token", "api_key", "apikey", "access_key", "accesskey"),
            (
                r"(?:password|passwd|secret|token|(?:api|access)_?key)"
                r"""(?:["']?\s{0,3}[=:]\s{0,3}|\s{1,3}E?(?='))"""
                r"""(?P<secret>\[redacted\]|"(?:[^"\\]|\\.){1,1024}"|'(?:[^'\\]|\\.|''){1,1024}'"""
                r"""|[^\s"',;&)}\]]{1,1024})"""
            ),
        ),
        # A key may be cut off: it reaches up to the next frame line or the end.
        (
            ("private key",),
            (
                r"(?P<secret>-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?:[^-]|-(?!----)){0,16384}"
                r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?)"
            ),
        ),
    )
    for word in words
)

_HINTS: Final = ("://", "authorization", "bearer", "passw", "secret", "token", "key")
"""In each word of a pattern there is one of these. Most texts hold none of them."""

_LONGEST_MATCH: Final = 16384 + 2 * 80
"""Characters of the longest match of any pattern: a private key and its two frame lines."""
