"""What a page's form sends: read as it comes, since whoever sends it is free to send anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from api.answer_view import Comment
from api.answering import Given
from domain.people import Person
from domain.questions import Choice
from store.tables import new_id

_COMMENT: TypeAdapter[str | None] = TypeAdapter(Comment)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Faulty(Exception):
    """`fault` names the text that says what to do about it, `status` is the page's."""

    def __init__(self, fault: str, status: int = 422) -> None:
        super().__init__(fault)
        self.fault = fault
        self.status = status


@dataclass(frozen=True)
class Form:
    """`nonce` is the page's: the same answer sent twice from one page is one answer."""

    nonce: str
    choice: str = ""
    comment: str = ""
    to: str = ""
    content_hash: str = ""

    def answer(self, person: Person, *choices: Choice, stage: int | None = None) -> Given:
        """Raises: Faulty."""
        if self.choice not in choices:
            raise Faulty("fault_choice")
        try:
            comment = _COMMENT.validate_python(self.comment)
        except ValidationError:
            raise Faulty("fault_comment") from None
        choice = Choice(self.choice)
        delegate_id = self.person() if choice is Choice.DELEGATE else None
        given = Given(person, choice, comment, delegate_id, stage=stage)
        # With the answer in it: the page that a 503 showed may be sent again with another one.
        return given.under(f"page {self.nonce} {given.request_hash[:16]}")

    def person(self) -> str:
        """The id of whoever was chosen. Raises: Faulty."""
        if not _ID.fullmatch(self.to):
            raise Faulty("fault_person")
        return self.to


def blank() -> Form:
    return Form(nonce=new_id())


async def read_form(request: Request) -> Form:
    """The fields that the form has; what is no form has none of them."""
    try:
        sent = dict(parse_qsl((await request.body()).decode(), max_num_fields=20, errors="strict"))
    except ValueError:
        sent = {}
    known = {name: sent.get(name, "") for name in ("choice", "comment", "to", "content_hash")}
    nonce = sent.get("nonce", "")
    return Form(nonce=nonce if _ID.fullmatch(nonce) else new_id(), **known)
