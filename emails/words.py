"""What flows say to people of the team, in their languages: `emails/<flow>/words.toml` has a table for each.

    [es]
    "Call the lead" = "Llamar al lead"

A flow's code says it in English. What the table of a language does not have stays as it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from emails.templates import EMAILS


class Words:
    def __init__(self, by_flow: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """`by_flow`: flow, language, English text."""
        self._by_flow = by_flow

    @classmethod
    def load(cls, root: Path = EMAILS) -> Words:
        paths = sorted(root.glob("*/words.toml"))
        return cls({path.parent.name: read_words(path) for path in paths})

    def say(self, flow: str, text: str, locale: str) -> str:
        """A title, a subject, or the name of a fact, in the language of a locale."""
        return self._by_flow.get(flow, {}).get(locale.partition("-")[0], {}).get(text, text)


def read_words(path: Path) -> dict[str, dict[str, str]]:
    """What one flow says, by language and English text; nothing if there is no such file. Raises: ValueError."""
    words = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for language, texts in words.items():
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError(f"{language} is no table of texts")
    return words
