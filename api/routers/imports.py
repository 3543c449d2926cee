"""Imports: contacts from a file, streamed; how far each is, and what was wrong in its lines."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException

from api.import_problems import cut_off, import_url, under_way
from api.import_request import MEDIA_TYPE, ImportRequest, require_csv
from api.importing import import_file
from api.paging import Page, PageRequest, page_of
from api.problems import answers, not_found
from api.routers.enrolling import IdempotencyKey
from api.wiring import Wired
from store import imports
from store.list_tables import ImportFaultRow, ImportRow

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

MAX_FILE_BYTES = 200_000_000
"""A million contacts or more. It is read as it comes, so what it costs is time."""
FAULTS_IN_REPORT = 100
_EXAMPLE = "email,first_name,Plan,consent.newsletter\nada@example.com,Ada,team,yes\n"
_CSV_BODY = {
    "requestBody": {
        "required": True,
        "description": "the file in UTF-8: a line of column names, then a contact a line; cells parted by comma, "
        f"semicolon or tab; {MAX_FILE_BYTES} bytes at the most",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


class ColumnView(BaseModel):
    name: str = Field(description="as the first line has it", examples=["Plan"])
    becomes: str = Field(description="what it was taken for; ignore: nothing", examples=["attributes.plan"])


class ImportView(BaseModel):
    """An import, and how far it is."""

    id: str
    name: str = Field(description="as whoever sent the file calls it")
    dry_run: bool = Field(description="no contact was changed: the counts say what would have been")
    status: Literal["running", "interrupted", "finished"] = Field(
        description="interrupted: it goes on when the file is sent again with the same `Idempotency-Key`"
    )
    columns: list[ColumnView]
    bytes_done: int = Field(description="of the file, from its beginning")
    lines: int = Field(description="of the file, in those bytes; header and empty lines among them")
    created: int = Field(description="lines whose contact was not known")
    updated: int = Field(description="lines that changed something of a contact, or of what they agree to")
    unchanged: int = Field(description="lines that said nothing new")
    bad: int = Field(description="lines of which nothing was taken")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: ImportRow) -> ImportView:
        columns = [ColumnView(name=str(each["name"]), becomes=str(each["target"])) for each in row.columns]
        return cls.model_validate({**row.model_dump(), "status": _status(row), "columns": columns})


class FaultView(BaseModel):
    """What is wrong in a line. What the line says is not repeated."""

    model_config = ConfigDict(from_attributes=True)

    line: int = Field(description="counted from 1, the header among them; where a record of several lines begins")
    column: str | None = Field(description="as the first line names it; null: the line as a whole")
    message: str = Field(examples=["is not valid: expected an address such as ada@example.com"])


class ImportReport(ImportView):
    """An import with the first faults."""

    faults: list[FaultView] = Field(description=f"the first {FAULTS_IN_REPORT}")
    more_faults: str | None = Field(description="where the others are; null: these are all")


class ImportsRequest(PageRequest):
    idempotency_key: str | None = Field(default=None, max_length=200, description="only the one that came with it")


class FaultsRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,9}-[0-9]{1,9}$")] | None = Field(
        default=None, description="the `next_cursor` of the page before"
    )

    def after(self) -> tuple[int, int]:
        """The line and number that this page's faults come after."""
        line, _, number = (self.cursor or "0-0").partition("-")
        return int(line), int(number)


@router.post(
    "/import",
    status_code=201,
    dependencies=[Depends(require_csv)],
    openapi_extra=_CSV_BODY,
    responses={
        200: {"model": ImportReport, "description": "The file was imported before, with this `Idempotency-Key`"},
        **answers(cut_off(None), under_way("0193f0c2-9a10-7b42-9b1f-0c6b1f6a2e11"), 415, 422),
    },
)
async def import_contacts(
    request: Request,
    query: Annotated[ImportRequest, Query()],
    response: Response,
    services: Wired,
    idempotency_key: IdempotencyKey = None,
) -> ImportReport:
    """Create and update contacts, by address, from a CSV file that is read while it comes.

    Only what the file says changes; an empty cell says nothing. Of two lines on one address, the later one wins. A bad
    line is reported and passed by. With an `Idempotency-Key`, an upload that broke off goes on where it was when the
    same file is sent again.
    """
    import_id, finished_now = await import_file(services, query, idempotency_key, request.stream())
    response.status_code = 201 if finished_now else 200
    response.headers["Location"] = import_url(import_id)
    async with services.database.read() as session:
        return await _report(session, await session.get_one(ImportRow, import_id))


@router.get("/imports", responses=answers(422))
async def list_imports(query: Annotated[ImportsRequest, Query()], services: Wired) -> Page[ImportView]:
    """Imports, newest first."""
    async with services.database.read() as session:
        rows = await imports.page_of_imports(
            session, limit=query.limit + 1, before=query.before(), idempotency_key=query.idempotency_key
        )
    return page_of(rows, query.limit, ImportView.of)


@router.get("/imports/{import_id}", responses=answers(404, 422))
async def read_import(import_id: UUID, services: Wired) -> ImportReport:
    """One import: how far it is, what became of the lines, and the first faults."""
    async with services.database.read() as session:
        return await _report(session, await _import(session, import_id))


@router.get("/imports/{import_id}/faults", responses=answers(404, 422))
async def list_import_faults(
    import_id: UUID, query: Annotated[FaultsRequest, Query()], services: Wired
) -> Page[FaultView]:
    """Everything that is wrong in the file, in the order of its lines."""
    async with services.database.read() as session:
        row = await _import(session, import_id)
        found = await imports.page_of_faults(session, row.id, limit=query.limit + 1, after=query.after())
    shown = found[: query.limit]
    return Page(
        items=[FaultView.model_validate(fault) for fault in shown],
        next_cursor=_cursor_after(shown[-1]) if len(found) > query.limit else None,
    )


# Else they would be asked of a contact whose id is `import`, and answered 422.
@router.api_route("/import", methods=["GET", "DELETE"], include_in_schema=False)
@router.delete("/imports", include_in_schema=False)
async def method_not_taken() -> None:
    raise HTTPException(405)


async def _import(session: AsyncSession, import_id: UUID) -> ImportRow:
    row = await session.get(ImportRow, str(import_id))
    if row is None:
        raise not_found("import with this id")
    return row


async def _report(session: AsyncSession, row: ImportRow) -> ImportReport:
    found = await imports.page_of_faults(session, row.id, limit=FAULTS_IN_REPORT + 1)
    shown = found[:FAULTS_IN_REPORT]
    more = len(found) > FAULTS_IN_REPORT
    return ImportReport(
        **ImportView.of(row).model_dump(),
        faults=[FaultView.model_validate(fault) for fault in shown],
        more_faults=f"{import_url(row.id)}/faults?cursor={_cursor_after(shown[-1])}" if more else None,
    )


def _status(row: ImportRow) -> str:
    if row.status == imports.FINISHED:
        return "finished"
    return "running" if imports.is_claimed(row) else "interrupted"


def _cursor_after(fault: ImportFaultRow) -> str:
    return f"{fault.line}-{fault.number}"
