"""Text from servers and files, made visible: nothing in it acts on a terminal, a browser or a parser."""

from __future__ import annotations

import re
from typing import Final

# Control characters but tab and newline; invisible and direction-changing format characters; line separators;
# surrogates; and noncharacters, which XML cannot hold.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff]"
    "|[\U000e0000-\U000e007f]"
)
_ASCII_CONTROLS: Final = 0x20
_DELETE: Final = 0x7F
_PICTURES: Final = 0x2400
_PICTURE_OF_DELETE: Final = 0x2421


def visible(text: str) -> str:
    r"""The text with every invisible character replaced by a picture or by its escape.

    NUL becomes ``␀``, ESC ``␛``, a right-to-left override ``\u202e``. Tabs and newlines stay; the carriage
    return of a line that ends in both is dropped.
    """
    # What Python calls printable holds none of them, and tells so three times as fast.
    if text.replace("\n", "").isprintable() or _INVISIBLE.search(text) is None:
        return text
    return _INVISIBLE.sub(_picture, text.replace("\r\n", "\n"))


def shortened(text: str, characters: int) -> str:
    """The text, cut to a number of characters; a cut text ends by saying how long it was."""
    if len(text) <= characters:
        return text
    return f"{text[:characters].rstrip()}… ({len(text):,} characters in record.json)"


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < _ASCII_CONTROLS:
        return chr(_PICTURES + code)
    if code == _DELETE:
        return chr(_PICTURE_OF_DELETE)
    return f"\\u{code:04x}"
