"""The body of a webhook request, read member by member: one that is broken spoils no other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

_MAX_DEPTH = 8
_MAX_CHARACTERS = 20_000
_MAX_DIGITS = 18
"""Of a whole number: what fits into 64 bits."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[][{},]', re.DOTALL)


def members(body: bytes) -> list[JsonValue]:
    """The members of a JSON array, without what a database could not hold; what is no JSON, as text. Never raises.

    A body that is no array is taken for its only member.
    """
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    try:
        read = _read(text)
    except (ValueError, RecursionError):
        return [_cleaned(_read_or_text(piece), 0) for piece in _pieces(text) if piece]
    return [_cleaned(member, 0) for member in (read if isinstance(read, list) else [read])]


def cut(member: JsonValue) -> JsonValue:
    """A member as it is kept: one that is very long as the beginning of its text."""
    text = json.dumps(member)
    return member if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS]


def _read(text: str) -> Any:
    return json.loads(text, parse_int=_whole, parse_float=_fraction, parse_constant=str)


def _read_or_text(text: str) -> Any:
    try:
        return _read(text)
    except (ValueError, RecursionError):
        return text


def _pieces(text: str) -> Iterator[str]:
    """The text of each member of an array that is not JSON as a whole, as far as brackets and quotes tell."""
    depth = begins = 0
    for token in _TOKEN.finditer(text) if text.startswith("[") else ():
        if token[0] in "[{":
            depth += 1
            begins = begins if depth > 1 else token.end()
        elif token[0] in "]}":
            depth -= 1
        if depth == 0 or (depth == 1 and token[0] == ","):
            yield text[begins : token.start()].strip()
            begins = token.end()
        if depth == 0:
            break
    yield text[begins:].strip()


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _fraction(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _cleaned(value: Any, depth: int) -> JsonValue:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict | list) and depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {_UNSTORABLE.sub("\ufffd", name): _cleaned(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner, depth + 1) for inner in value]
    number_or_nothing: JsonValue = value
    return number_or_nothing
