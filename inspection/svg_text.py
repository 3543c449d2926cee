"""How wide a text gets in a drawing, and where it is broken into lines."""

from __future__ import annotations

import re
import unicodedata

_NARROW, _WIDE = frozenset("fijlrtI.,:;|!'`()[]{}/\\ "), frozenset("mwMW@%—…_")


def width_of(text: str, size: float) -> float:
    """At the most, in the usual system fonts, in bold too."""
    return sum(_share(sign) for sign in text) * size


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Break at spaces; behind hyphens and underscores, or anywhere, only what fits on no line."""
    lines: list[str] = []
    line = ""
    for part in re.findall(r"\S+\s*", text):
        for piece in _pieces(part, size, width):
            if line and width_of((line + piece).rstrip(), size) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
    return [*lines, line.rstrip()] if line else lines


def _pieces(word: str, size: float, width: float) -> list[str]:
    if width_of(word.rstrip(), size) <= width:
        return [word]
    pieces: list[str] = []
    for part in re.findall(r"[^-_.]*[-_.]+\s*|[^-_.]+", word):
        piece = ""
        for sign in part:
            if width_of((piece + sign).rstrip(), size) > width:
                pieces.append(piece)
                piece = ""
            piece += sign
        pieces.append(piece)
    return pieces


def _share(sign: str) -> float:
    if unicodedata.combining(sign):
        return 0.0
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.05
    if sign in _NARROW:
        return 0.4
    if sign in _WIDE:
        return 1.0
    return 0.74 if sign.isupper() else 0.63
