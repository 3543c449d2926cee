"""What a contact agreed to: words on topics, and which of several words counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

CONFIRMATION_FLOW = "confirmation"
"""Has contacts confirm what they are said to have agreed to."""
CONFIRMED_EVENT = "subscription_confirmed"
"""They did: nothing waits for their confirmation any more."""
CONTACT = "contact"
"""Who tells us of a word that the contact gave on a page of ours: nobody knows better."""


class ConsentState(StrEnum):
    """The word of a contact on one topic."""

    REQUESTED = "requested"
    """Somebody said that they agree; under double opt-in they have yet to confirm it themselves."""
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


class Word(NamedTuple):
    """A contact's word on a topic, as we are told of it.

    `source` is where they gave it, `recorded_by` who tells us, `wording` the version of the text that they agreed to,
    and `purpose` what that text said the emails are for. `given_at` is aware; None if nobody says when they gave it.
    """

    topic: str
    state: ConsentState
    source: str
    recorded_by: str
    wording: str | None = None
    purpose: str | None = None
    given_at: datetime | None = None


class Bearing(StrEnum):
    """What becomes of a word that we are told of."""

    COUNTS = "counts"
    HISTORY = "history"
    """It is kept: another one was given later, and stays the one that counts."""
    NOTHING = "nothing"
    """It says nothing that is not known."""


def bearing(word: Word, known: Sequence[Word]) -> Bearing:
    """What a word is beside those that are known on its topic, in the order in which they were given.

    Whoever repeats old data says no date: such a word is kept only if it differs from the latest, and does not bring
    back what the contact left themselves. A mere request takes no consent away.
    """
    if not known:
        return Bearing.COUNTS
    latest = known[-1]
    if word.given_at is None:
        is_stale = _left_by_themselves(latest) and word.recorded_by != CONTACT
        says_nothing = word.state is latest.state or is_stale
    elif _is_repeated(word, known):
        return Bearing.NOTHING
    elif latest.given_at is not None and word.given_at < latest.given_at:
        return Bearing.HISTORY
    else:
        says_nothing = False
    asks_in_vain = word.state is ConsentState.REQUESTED and latest.state is ConsentState.GRANTED
    return Bearing.NOTHING if says_nothing or asks_in_vain else Bearing.COUNTS


def _left_by_themselves(latest: Word) -> bool:
    return latest.state is ConsentState.WITHDRAWN and latest.recorded_by == CONTACT


def _is_repeated(word: Word, known: Sequence[Word]) -> bool:
    return any((each.state, each.given_at) == (word.state, word.given_at) for each in known)
