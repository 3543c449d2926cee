"""Many letters in one request to SendGrid: a personalization for each, and one text that values are put into.

Source: SendGrid v3 API reference, Mail Send: personalizations and substitutions, read 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from domain.message_batches import BatchRejected, Letter, MessageBatch
from domain.messages import MailerError, MessageRejected, one_line
from integrations.sendgrid.body import MESSAGE_ID, envelope, opt_out_headers

MAX_LETTERS = 1000
MAX_SUBSTITUTION_BYTES = 10_000
TOO_LARGE = 413
_OF_LETTER = re.compile(r"personalizations(?:\.(\d+)\b.*)?")
_LONGEST_ESCAPE = 6
"""Bytes that one character takes in JSON, but for the rare ones beyond the first plane: those take twice as many."""


def fits(letter: Letter) -> bool:
    """Whether the letter's values are few enough for one personalization."""
    characters = sum(map(len, letter.values)) + sum(map(len, letter.values.values()))
    if characters * 2 * _LONGEST_ESCAPE <= MAX_SUBSTITUTION_BYTES:
        return True
    return len(json.dumps(letter.values)) <= MAX_SUBSTITUTION_BYTES


def batch_body(batch: MessageBatch) -> bytes:
    """Raises: BatchRejected for texts that SendGrid's library refuses."""
    has_opt_out = batch.letters[0].unsubscribe_url is not None
    try:
        mail = envelope(batch.sender, batch.text, batch.html, batch.flow, batch.step, has_opt_out=has_opt_out)
    except MessageRejected as error:
        raise BatchRejected(error.reason, of_letters=False) from None
    # As plain objects: the library's own take four times as long as all the rest of the body, and it turns their order
    # round. Every one has a subject, so that the mail needs none.
    personalizations = [_personalization(letter) for letter in batch.letters]
    return json.dumps({**mail.get(), "personalizations": personalizations}).encode()


def batch_rejection(error: MailerError, status: int, fields: Sequence[str]) -> BatchRejected | None:
    """What a refusal of the message means for a batch; None if it is not the message that is refused."""
    if not isinstance(error, MessageRejected):
        return None
    found = [_OF_LETTER.fullmatch(field) for field in fields]
    of_letters = status == TOO_LARGE or (found != [] and all(found))
    at = [int(each[1]) for each in found if each is not None and each[1] is not None] if of_letters else []
    return BatchRejected(error.reason, of_letters=of_letters, at=at)


def _personalization(letter: Letter) -> dict[str, Any]:
    to = {"email": letter.to_email}
    if name := one_line(letter.to_name):
        to["name"] = name
    return {
        "to": [to],
        "subject": one_line(letter.subject),
        "headers": opt_out_headers(letter.unsubscribe_url),
        "custom_args": {MESSAGE_ID: letter.id},
        "substitutions": letter.values,
    }
