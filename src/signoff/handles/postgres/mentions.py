"""Which names a text of SQL mentions, found without understanding it.

Every run of letters, digits, ``_`` and ``$`` counts, in strings and comments too, so that nothing depends on
where a string, a comment or a dollar-quoted body ends: two lexers may disagree about that, and a guard that
disagrees with the server can be led past. What this finds in excess costs a refusal at worst, which says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Final

# PostgreSQL's own rule for identifiers, in which every byte above ASCII is a letter.
_WORD: Final = re.compile(r"[A-Za-z0-9_$\x80-\U0010ffff]+")
_COMMENT: Final = re.compile(r"--|/\*")
_OPENING: Final = re.compile(r'"?[ \t\n\r\f\v]*\(')
_AROUND: Final = ' \t\n\r\f\v"'
_ESCAPED: Final = re.compile(r'[uU]&"')
_ASCII_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True)
class Mentions:
    """The names in a text, each as written and as the server folds it to lower case.

    Attributes:
        words: all of them.
        called: those before a parenthesis, which could call a function of that name.
        dotted: those after a dot, which could call one of a single argument: ``row.f`` is ``f(row)``.
        odd: whether there may be names that are not plain words: quoted ones, or with letters beyond ASCII.
    """

    words: frozenset[str]
    called: frozenset[str]
    dotted: frozenset[str]
    odd: bool


def mentions(texts: Iterable[str]) -> Mentions:
    """The names in texts of SQL. In a text with a comment, any name may be called or dotted."""
    words: set[str] = set()
    called: set[str] = set()
    dotted: set[str] = set()
    odd = False
    for text in texts:
        odd = odd or '"' in text or not text.isascii()
        # A comment may stand between a name and its parenthesis or dot.
        anywhere = _COMMENT.search(text) is not None
        for match in _WORD.finditer(text):
            names = _folded(match.group())
            words |= names
            if anywhere or _OPENING.match(text, match.end()):
                called |= names
            if anywhere or _character_before(text, match.start()) == ".":
                dotted |= names
    return Mentions(frozenset(words), frozenset(called), frozenset(dotted), odd)


def hides_names(text: str) -> bool:
    """Whether a text may spell names with Unicode escapes, in which no name can be found."""
    return _ESCAPED.search(text) is not None


def _folded(word: str) -> set[str]:
    # In a multi-byte encoding the server folds ASCII only, in a single-byte one whatever the locale says.
    return {word, word.translate(_ASCII_LOWER), word.lower()}


def _character_before(text: str, end: int) -> str:
    while end and text[end - 1] in _AROUND:
        end -= 1
    return text[end - 1 : end]
