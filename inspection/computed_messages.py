"""Messages whose name is computed, `offer-{size}`: which folders they may be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice, product

from inspection.outline import Step

_PART = re.compile(r"\{([^{}]*)\}")
_MOST = 1_000
"""Messages that one step may be looked through for."""
_WORDS = "[a-z0-9]+(?:-[a-z0-9]+)*"


def is_computed(message: str) -> bool:
    return "{" in message


def sent_by(step: Step, folders: Collection[str]) -> list[str]:
    """The folders, of those that there are, of the messages that a step may send, in their order."""
    return _fitting(step.message or "", step, folders)


def lacking(step: Step, folders: Collection[str]) -> Iterator[str]:
    """What the message may be, as far as that is written down, without any folder for it: `offer-large`."""
    message = step.message or ""
    if not _fitting(message, step, folders):
        yield message
        return
    parts = [[(f"{{{part}}}", word) for word in words] for part, words in step.words]
    for chosen in islice(product(*parts), _MOST):
        filled = message
        for part, word in chosen:
            filled = filled.replace(part, word)
        if not _fitting(filled, step, folders):
            yield filled


def _fitting(message: str, step: Step, folders: Collection[str]) -> list[str]:
    known = dict(step.words)
    pattern, end = "", 0
    for part in _PART.finditer(message):
        words = "|".join(map(re.escape, known.get(part[1], ()))) or _WORDS
        pattern += f"{re.escape(message[end : part.start()])}(?:{words})"
        end = part.end()
    pattern += re.escape(message[end:])
    return sorted(folder for folder in folders if re.fullmatch(pattern, folder))
