"""Tokens of a `where` expression."""

import re
from dataclasses import dataclass
from typing import Literal

from clothret.errors import FilterError

MAX_LENGTH = 32_768
"""Characters of an expression; an in-list of a thousand ids fits."""

Kind = Literal["string", "quoted", "number", "name", "symbol", "end"]

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<comment>--|/\*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
    | (?P<name>[^\W\d]\w*)
    | (?P<symbol><=|>=|<>|!=|==|::|\|\||[=<>+\-*/%(),])
    """,
    re.VERBOSE | re.ASCII,
)
_UNICODE_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `at` counts characters from 1, as people do."""

    kind: Kind
    text: str
    at: int

    @property
    def word(self) -> str:
        """The text in lower case where it may be a keyword, else empty."""
        return self.text.lower() if self.kind == "name" else ""

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the expression"
        shown = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return f"{shown!r} at character {self.at}"


def tokenize(expression: str) -> list[Token]:
    """Tokens of `expression`, the last of kind "end".

    Raises:
        FilterError: longer than `MAX_LENGTH`, not encodable, or a character that starts no token.
    """
    if len(expression) > MAX_LENGTH:
        raise FilterError(
            f"where: an expression has at most {MAX_LENGTH} characters, got {len(expression)}"
        )
    _check_characters(expression)
    tokens: list[Token] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position) or _UNICODE_NAME.match(expression, position)
        kind = (match.lastgroup or "name") if match else "unknown"
        if match is None or kind == "comment":
            raise FilterError(
                f"where: {_refusal(expression, position)} at character {position + 1}"
            )
        if kind == "name":  # \w of the pattern above is ASCII; names may go on in other letters
            match = _UNICODE_NAME.match(expression, position) or match
        if kind != "space":
            tokens.append(Token(kind, match.group(), position + 1))  # type: ignore[arg-type]
        position = match.end()
    tokens.append(Token("end", "", len(expression) + 1))
    return tokens


def _check_characters(expression: str) -> None:
    for index, character in enumerate(expression):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise FilterError(
                f"where: character {index + 1} (U+{ord(character):04X}) cannot be part of text"
            )


def _refusal(expression: str, position: int) -> str:
    start = expression[position : position + 2]
    if start in ("--", "/*"):
        return f"comments are not allowed: {start!r}"
    if start[0] in "'\"":
        return f"the quote {start[0]!r} is not closed"
    if start[0] == ";":
        return "one expression only, found ';'"
    if start[0].isdigit():
        return f"malformed number {expression[position : position + 12].split()[0]!r}"
    return f"unexpected {start[0]!r}"
