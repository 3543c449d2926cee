"""Whether texts can be told from what is behind them.

Source: WCAG 2.2, success criterion 1.4.3, level AA, https://www.w3.org/TR/WCAG22/#contrast-minimum, read 2026-11.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from emails.html_tree import Element
from inspection.faults import Fault
from inspection.rendered.colours import Colour, UnknownColour
from inspection.rendered.reading import ReadMessage
from inspection.rendered.seen_text import painted_colour, written_colour

LEAST, LEAST_OF_LARGE = 4.5, 3.0


def least_contrast(message: ReadMessage) -> float:
    """Of all its texts, for every sample, from 1 to 21; of none 21."""
    return min((text.contrast for reading in message.readings for text in reading.texts), default=21.0)


def text_is_legible(message: ReadMessage) -> Iterator[Fault]:
    """Told once for each pair of colours, with the first text in them."""
    told: set[tuple[Colour, Colour, bool]] = set()
    for text in (text for reading in message.readings for text in reading.texts):
        pair, least = (text.colour, text.behind, text.is_large), LEAST_OF_LARGE if text.is_large else LEAST
        if pair not in told and text.contrast < least:
            told.add(pair)
            ratio = math.floor(text.contrast * 100) / 100  # 4.499 is not 4.50
            what = f"“{_short(text.words)}” is {text.colour} on {text.behind}, a contrast of {ratio:.2f}:1"
            mend = f"set the two further apart, since WCAG 2.2 AA asks for {least:g}:1"
            yield message.fault(what, mend, text.words, str(text.colour))


def colours_are_known(message: ReadMessage) -> Iterator[Fault]:
    """Email clients know fewer ways than browsers to say a colour, and paint none for others."""
    told: set[str] = set()
    for element in (node for reading in message.readings for node in reading.page.seen if isinstance(node, Element)):
        for name, value in _unknown(element):
            if value not in told:
                told.add(value)
                what = f"has {name}: {value}, which not every email client paints"
                yield message.fault(what, "write the colour that is to be seen as #rrggbb", value)


def _unknown(element: Element) -> Iterator[tuple[str, str]]:
    for name, read in (("color", written_colour), ("background", painted_colour)):
        try:
            read(element)
        except UnknownColour as error:
            yield name, str(error)
    if (opacity := element.style.get("opacity", "1")) != "1":
        yield "opacity", opacity


def _short(words: str) -> str:
    return words if len(words) <= 40 else f"{words[:39].rstrip()}…"
