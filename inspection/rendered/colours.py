"""Colours as inline styles write them, and how well one is read on another.

Source: WCAG 2.2, relative luminance and contrast ratio, https://www.w3.org/TR/WCAG22/, read 2026-11.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_RGB = re.compile(r"rgba?\(([^()]*)\)")
_BETWEEN = re.compile(r"[\s,/]+")
_NAMED = {
    "black": "#000000", "silver": "#c0c0c0", "gray": "#808080", "grey": "#808080", "white": "#ffffff",
    "maroon": "#800000", "red": "#ff0000", "purple": "#800080", "fuchsia": "#ff00ff", "green": "#008000",
    "lime": "#00ff00", "olive": "#808000", "yellow": "#ffff00", "navy": "#000080", "blue": "#0000ff",
    "teal": "#008080", "aqua": "#00ffff", "orange": "#ffa500", "transparent": "#00000000",
}  # fmt: skip
"""Those that every email client knows."""


class Colour(NamedTuple):
    """Red, green and blue from 0 to 255; alpha from 0, which is clear, to 1."""

    red: float
    green: float
    blue: float
    alpha: float = 1.0

    def __str__(self) -> str:
        return f"#{round(self.red):02x}{round(self.green):02x}{round(self.blue):02x}"


BLACK, WHITE = Colour(0, 0, 0), Colour(255, 255, 255)


class UnknownColour(ValueError):
    """Something written where a colour stands, of which we cannot tell which one it is. The text is what is written."""


def parse_colour(written: str) -> Colour:
    """Read `#rgb`, `#rrggbb`, both with alpha, `rgb()`, `rgba()` or a common name, in lower case.

    Raises: UnknownColour.
    """
    value = _NAMED.get(written, written)
    if found := _HEX.fullmatch(value):
        digits = found[1] if len(found[1]) > 4 else "".join(digit * 2 for digit in found[1])
        red, green, blue, alpha = (int(f"{digits}ff"[at : at + 2], 16) for at in (0, 2, 4, 6))
        return Colour(red, green, blue, alpha / 255)
    if found := _RGB.fullmatch(value):
        parts = _BETWEEN.split(found[1].strip())
        try:
            channels = [_share(part, of=255) for part in parts[:3]]
            return Colour(*channels, *(_share(part, of=1) for part in parts[3:]))
        except (ValueError, TypeError):  # no numbers; too few, or too many
            pass
    raise UnknownColour(written)


def over(front: Colour, back: Colour) -> Colour:
    """What is seen of a colour that may be clear in part, on one that is not."""
    red, green, blue = (
        seen * front.alpha + behind * (1 - front.alpha) for seen, behind in zip(front[:3], back[:3], strict=True)
    )
    return Colour(red, green, blue)


def contrast(one: Colour, other: Colour) -> float:
    """From 1, the same, to 21, black on white. Neither is clear in part."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(channel / 255) for channel in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _share(part: str, of: float) -> float:
    """A number, or a percentage of the largest; what is out of range is at its end. Raises: ValueError."""
    value = float(part[:-1]) / 100 * of if part.endswith("%") else float(part)
    if math.isnan(value):
        raise ValueError
    return min(max(value, 0.0), of)
