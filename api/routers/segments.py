"""Segments: contacts chosen by what is known of them, counted, listed, and explained for one contact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from sqlmodel.ext.asyncio.session import AsyncSession

from api.content import require_json
from api.paging import Page, PageRequest, page_of
from api.problems import ProblemError, answers, invalid_request, not_found
from api.wiring import Services, Wired
from domain.broadcasts import FLOW as BROADCAST
from domain.limits import Text
from domain.segment_clauses import ConsentClause, EnrollmentClause, MessageClause
from domain.segment_explanations import Verdict, deciding
from domain.segments import EXAMPLE, Kind, Segment, leaves
from store.list_tables import SegmentRow
from store.segments import (
    NameTaken,
    count_members,
    create_segment,
    delete_segment,
    explain,
    flows_never_entered,
    locked_segment,
    page_of_members,
    page_of_segments,
    replace_segment,
    users_of,
)
from store.tables import now

router = APIRouter(prefix="/v1", tags=["segments"])

Predicate = Annotated[
    Segment,
    WithJsonSchema(
        {
            "type": "object",
            "description": "a tree of clauses: GET /v1/segment-schema answers its JSON Schema",
            "properties": {"kind": {"type": "string", "enum": list(get_args(Kind))}},
            "required": ["kind"],
            "examples": [EXAMPLE],
        }
    ),
]
"""Its JSON Schema stands by itself: what makes clients or requests of the API's description drowns in the recursion."""
SegmentName = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$")
]
"""One line without space around it."""
_NO_SEGMENT = not_found("segment with this id")


def _name_taken(segment_id: str) -> ProblemError:
    return ProblemError(
        409,
        "name-taken",
        "Another segment has this name",
        f"it is /v1/segments/{segment_id}: change that one, or take another name",
    )


def _in_use(users: list[str]) -> ProblemError:
    return ProblemError(
        409,
        "segment-in-use",
        "The segment is in use",
        f"{'; '.join(users)}: end or delete what uses it first",
    )


A_NAME_TAKEN = _name_taken("0193f0c2-9a10-7b42-9b1f-0c6b1f6a2e11")
AN_IN_USE = _in_use(["trigger 0193f0c2-9a10-7b42-9b1f-0c6b1f6a2e12 of flow onboarding"])


class SegmentRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: SegmentName = Field(description="no other segment has it", examples=["chile-clickers"])
    description: Text = Field(default="", examples=["Chileans who have clicked often this week"])
    predicate: Predicate


class SegmentView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    description: str
    predicate: Predicate
    created_at: datetime
    updated_at: datetime


class SegmentCount(BaseModel):
    count: int
    at: datetime = Field(description="when it was judged")


class MemberView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str = Field(examples=["ada@example.com"])
    first_name: str
    last_name: str


class SegmentExplanation(BaseModel):
    """Whether a contact is in a segment, and by which clauses."""

    segment_id: str
    contact_id: str
    at: datetime = Field(description="when it was judged")
    inside: bool
    being_erased: bool = Field(description="whoever is being erased is in no segment, whatever the clauses say")
    decided_by: list[Verdict] = Field(description="the clauses that the verdict rests on")
    clauses: Verdict = Field(description="the whole predicate, clause by clause")


class MembersRequest(PageRequest):
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50


@router.get("/segments", responses=answers(422))
async def list_segments(query: Annotated[PageRequest, Query()], services: Wired) -> Page[SegmentView]:
    """Segments, newest first."""
    async with services.database.read() as session:
        rows = await page_of_segments(session, limit=query.limit + 1, before=query.before())
    return page_of(rows, query.limit, SegmentView.model_validate)


@router.post(
    "/segments",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses=answers(400, A_NAME_TAKEN, 415, 422),
)
async def create_segment_of_contacts(request: SegmentRequest, response: Response, services: Wired) -> SegmentView:
    """Keep a segment. Its name is its own: the same request again is 409, and makes no second one."""
    try:
        async with services.database.write() as session:
            await _require_known(session, request.predicate, services)
            row = await create_segment(session, request.name, request.description, request.predicate)
    except NameTaken as refusal:
        raise _name_taken(refusal.segment_id) from None
    response.headers["Location"] = f"/v1/segments/{row.id}"
    return SegmentView.model_validate(row)


@router.get("/segment-schema")
async def read_segment_schema() -> dict[str, Any]:
    """The JSON Schema of a predicate."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Segment.model_json_schema()}


@router.get("/segments/{segment_id}", responses=answers(_NO_SEGMENT, 422))
async def read_segment(segment_id: UUID, services: Wired) -> SegmentView:
    """One segment."""
    async with services.database.read() as session:
        return SegmentView.model_validate(await _segment(session, segment_id))


@router.put(
    "/segments/{segment_id}",
    dependencies=[Depends(require_json)],
    responses=answers(400, _NO_SEGMENT, A_NAME_TAKEN, 415, 422),
)
async def replace_segment_of_contacts(segment_id: UUID, request: SegmentRequest, services: Wired) -> SegmentView:
    """Give a segment another name, description and predicate. Twice changes nothing.

    The change itself enrolls nobody: triggers that watch the segment look at its members anew, and from then on enroll
    those who enter it. A flow that names the segment in its code keeps it from being renamed.
    """
    try:
        async with services.database.write() as session:
            row = await locked_segment(session, str(segment_id))
            if row is None:
                raise _NO_SEGMENT
            if request.name != row.name and (flows := _flows_that_name(row.name, services)):
                raise _in_use(flows)
            await _require_known(session, request.predicate, services)
            row = await replace_segment(session, row, request.name, request.description, request.predicate)
            return SegmentView.model_validate(row)
    except NameTaken as refusal:
        raise _name_taken(refusal.segment_id) from None


@router.delete("/segments/{segment_id}", status_code=204, responses=answers(_NO_SEGMENT, AN_IN_USE, 422))
async def delete_segment_of_contacts(segment_id: UUID, services: Wired) -> None:
    """Delete a segment that nothing uses: no trigger, no schedule, and no bulk enrollment or broadcast under way."""
    async with services.database.write() as session:
        row = await locked_segment(session, str(segment_id))
        if row is None:
            raise _NO_SEGMENT
        if users := [*_flows_that_name(row.name, services), *await users_of(session, row.id)]:
            raise _in_use(users)
        await delete_segment(session, row)


@router.get("/segments/{segment_id}/count", responses=answers(_NO_SEGMENT, 422))
async def count_segment(segment_id: UUID, services: Wired) -> SegmentCount:
    """How many contacts are in the segment now. It is counted anew each time: seconds, with millions of contacts."""
    at = now()
    async with services.database.read() as session:
        return SegmentCount(count=await count_members(session, await _segment(session, segment_id), at), at=at)


@router.get("/segments/{segment_id}/contacts", responses=answers(_NO_SEGMENT, 422))
async def list_segment_contacts(
    segment_id: UUID, query: Annotated[MembersRequest, Query()], services: Wired
) -> Page[MemberView]:
    """Contacts in the segment, those known for longest first. Each page is judged when it is asked for."""
    async with services.database.read() as session:
        row = await _segment(session, segment_id)
        found = await page_of_members(session, row, now(), limit=query.limit + 1, after=query.before())
    return page_of(found, query.limit, MemberView.model_validate)


@router.get("/segments/{segment_id}/contacts/{contact_id}", responses=answers(404, 422))
async def explain_segment(segment_id: UUID, contact_id: UUID, services: Wired) -> SegmentExplanation:
    """Whether a contact is in the segment now, and why: each clause in words, and whether it holds for them."""
    at = now()
    async with services.database.read() as session:
        row = await _segment(session, segment_id)
        explanation = await explain(session, row, str(contact_id), at)
    if explanation is None:
        raise not_found("contact with this id")
    return SegmentExplanation(
        segment_id=row.id,
        contact_id=str(contact_id),
        at=at,
        inside=explanation.inside,
        being_erased=explanation.being_erased,
        decided_by=list(deciding(explanation.verdict)),
        clauses=explanation.verdict,
    )


async def _segment(session: AsyncSession, segment_id: UUID) -> SegmentRow:
    row = await session.get(SegmentRow, str(segment_id))
    if row is None:
        raise _NO_SEGMENT
    return row


def _flows_that_name(name: str, services: Services) -> list[str]:
    """Flows whose code declares a trigger on the segment of this name."""
    flows = services.flows.items()
    return [
        f"a trigger in the code of flow {flow}"
        for flow, its in flows
        if any(trigger.segment == name for trigger in its.about.triggers)
    ]


async def _require_known(session: AsyncSession, segment: Segment, services: Services) -> None:
    """Raises: ProblemError 422 for flows and topics that there are not: none had a message of a flow misspelt."""
    flows = {flow for _, flow in _flows_in(segment)} - {*services.flows, BROADCAST}
    unknown = await flows_never_entered(session, flows)
    among = ", ".join(services.flows)
    faults = [(path, "flow", f"is no flow: there are {among}") for path, flow in _flows_in(segment) if flow in unknown]
    faults += [
        (path, "topic", f"is no topic: there are {', '.join(services.topics)}")
        for path, leaf in leaves(segment.root)
        if isinstance(leaf, ConsentClause | MessageClause) and leaf.topic not in (None, *services.topics)
    ]
    if faults:
        raise invalid_request(
            [
                {"loc": ("body", "predicate", *path.split("/")[1:], member), "msg": message}
                for path, member, message in faults
            ]
        )


def _flows_in(segment: Segment) -> Iterator[tuple[str, str]]:
    for path, leaf in leaves(segment.root):
        if isinstance(leaf, MessageClause | EnrollmentClause) and leaf.flow is not None:
            yield path, leaf.flow
