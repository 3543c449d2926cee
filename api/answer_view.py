"""What a person answers over the API, and how it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.answer_problems import not_told, refused
from api.answering import AskedRow, Given, NotTold, Refused, give_answer
from api.problems import key_reused
from api.wiring import Services
from domain.crm import Note
from domain.questions import Choice
from store.enrollments import KeyReused
from store.people_tables import AnswerRow


def _tidy(comment: object) -> object:
    """Line breaks as browsers send them are taken; nothing but space is no comment."""
    return (comment.replace("\r\n", "\n").strip() or None) if isinstance(comment, str) else comment


Comment = Annotated[
    Note | None,
    BeforeValidator(_tidy),
    Field(description="kept in the database alone", examples=["Fine for a first order."]),
]


class CommentRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    comment: Comment = None


NO_COMMENT = CommentRequest()


class AnswerView(BaseModel):
    """What somebody answered. It never changes; what came of the question is told where that is read."""

    id: str
    person_id: str
    choice: Choice
    delegate_id: str | None = Field(description="who answers in their place; with `delegate` alone")
    comment: str | None
    answered_at: datetime


def answer_view(row: AnswerRow) -> AnswerView:
    return AnswerView(
        id=row.id,
        person_id=row.person_id,
        choice=Choice(row.choice),
        delegate_id=row.delegate_id,
        comment=row.comment,
        answered_at=row.created_at,
    )


async def answered(services: Services, asked: AskedRow, given: Given) -> AnswerView:
    """Give an answer that came over the API. Raises: ProblemError 403, 409, 422 or 503."""
    try:
        return answer_view(await give_answer(services, asked, given))
    except Refused as refusal:
        raise await refused(services, asked, given.person, refusal.refusal) from None
    except KeyReused:
        raise key_reused() from None
    except NotTold:
        raise not_told() from None
