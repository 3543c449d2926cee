"""Who gets leads: the assignment rules, and the queue of leads that nobody can take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.acting import ActingPerson
from api.answer_problems import not_yours
from api.asked_people import NOBODY_ACTIVE
from api.content import require_json
from api.paging import Page, PageRequest, page_of
from api.problems import ProblemError, answers, invalid_request, not_found
from api.routers.leads import AssignmentView
from api.telling import tell
from api.wiring import Wired
from domain.lead_rules import LeadRule, LeadRules
from domain.limits import Id
from domain.people import MANAGERS
from store.assignments import NotAManager, NotInQueue, UnknownPerson, give_by_hand
from store.lead_queue import page_of_queue
from store.lead_rules import RulesChanged, UnknownPeople, newest_rules, replace_rules
from store.people_tables import AssignmentRow, LeadRulesRow

router = APIRouter(prefix="/v1", tags=["leads"])


def _rules_changed(version: int) -> ProblemError:
    return ProblemError(
        409,
        "rules-changed",
        "Somebody else has changed the rules",
        f"version {version} is in force: GET /v1/lead-rules, and make the change in those",
    )


def _not_a_manager() -> ProblemError:
    return not_yours(f"header.Cauce-Person: leads are given by hand by people in the role {MANAGERS}")


def _not_in_queue() -> ProblemError:
    return ProblemError(
        409,
        "not-in-queue",
        "The lead does not wait any more",
        "it was given to somebody, or its enrollment ended: GET /v1/assignments tells",
    )


def _no_lead() -> ProblemError:
    return not_found("lead in the queue with this id")


class RulesRequest(LeadRules):
    """All rules, in the order in which they are tried: they take the place of those in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": 0,
                    "rules": [
                        {
                            "name": "andes",
                            "when": {"countries": ["CL", "PE"], "min_score": 50},
                            "team": "andes",
                            "strategy": "weighted",
                        },
                        {"name": "everybody-else", "role": "sales", "strategy": "sticky_owner"},
                    ],
                }
            ]
        }
    )

    version: Annotated[int, Field(strict=True, ge=0, lt=2**31)] | None = Field(
        default=None, description="the version that these are a change of: 409 if another one is in force by now"
    )


class RulesView(BaseModel):
    """The rules in force."""

    version: int = Field(description="0: nobody has made any, and these are built in")
    rules: list[LeadRule]
    created_at: datetime | None

    @classmethod
    def of(cls, row: LeadRulesRow) -> RulesView:
        return cls.model_validate({**row.model_dump(), "created_at": row.created_at if row.version else None})


class QueuedLead(BaseModel):
    """A lead that nobody can take. `id` is the assignment's."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    enrollment_id: str
    contact_id: str
    flow: str
    step: str
    waiting_since: datetime = Field(validation_alias="created_at")
    reasons: list[dict[str, Any]] = Field(description="why nobody could take it when it came")


class GivenByHand(BaseModel):
    model_config = ConfigDict(extra="forbid")

    person_id: Id = Field(description="who gets the lead, whatever rules, calendar and capacity say")


@router.get("/lead-rules")
async def read_lead_rules(services: Wired) -> RulesView:
    """The assignment rules, in the order in which they are tried."""
    async with services.database.read() as session:
        return RulesView.of(await newest_rules(session))


@router.put(
    "/lead-rules",
    dependencies=[Depends(require_json)],
    responses=answers(400, _rules_changed(8), 415, 422),
)
async def put_lead_rules(request: RulesRequest, services: Wired) -> RulesView:
    """Put other rules in force, for leads that are offered from now on. Each change makes a new version."""
    rules = LeadRules(rules=request.rules)
    try:
        async with services.database.write() as session:
            return RulesView.of(await replace_rules(session, rules, request.version))
    except RulesChanged as refusal:
        raise _rules_changed(refusal.version) from None
    except UnknownPeople as refusal:
        message = "expected the id of a person: GET /v1/people lists them"
        errors = [{"loc": ("body", "rules", at, "person"), "msg": message} for at in refusal.rules]
        raise invalid_request(errors) from None


@router.get("/lead-queue", responses=answers(422))
async def list_lead_queue(query: Annotated[PageRequest, Query()], services: Wired) -> Page[QueuedLead]:
    """Leads that wait for somebody who can take them, oldest first: so they are given as soon as somebody can."""
    async with services.database.read() as session:
        rows = await page_of_queue(session, limit=query.limit + 1, after=query.before())
    return page_of(rows, query.limit, QueuedLead.model_validate)


@router.post(
    "/lead-queue/{assignment_id}/assign",
    dependencies=[Depends(require_json)],
    responses=answers(400, _not_a_manager(), _no_lead(), _not_in_queue(), 415, 422),
)
async def assign_by_hand(
    assignment_id: UUID, given: GivenByHand, person: ActingPerson, services: Wired
) -> AssignmentView:
    """Give a lead of the queue to a rep by hand, as a sales manager. It needs no acceptance; twice changes nothing."""
    try:
        async with services.database.write() as session:
            row = await give_by_hand(session, str(assignment_id), given.person_id, person.id)
    except NotAManager:
        raise _not_a_manager() from None
    except UnknownPerson:
        raise invalid_request([{"loc": ("body", "person_id"), "msg": NOBODY_ACTIVE}]) from None
    except NotInQueue:
        async with services.database.read() as session:
            known = await session.get(AssignmentRow, str(assignment_id))
        raise (_not_in_queue() if known else _no_lead()) from None
    await tell(services.dispatcher.tell_offered(row), f"assignment {row.id}")
    return AssignmentView.model_validate({**row.model_dump(), "answer": None})
