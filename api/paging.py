"""Listings: newest first, a page at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Row(Protocol):
    id: str


ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=_Row)


class Page(BaseModel, Generic[ItemT]):
    items: list[ItemT]
    next_cursor: str | None = Field(description="ask with it as `cursor` for the next page; null: this is the last")


class PageRequest(BaseModel):
    """The query of a listing; a filter that it does not know is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$")] | None = Field(
        default=None, description="the `next_cursor` of the page before"
    )

    def before(self) -> str | None:
        """The id that this page's rows come after."""
        return None if self.cursor is None else str(UUID(bytes=base64.urlsafe_b64decode(f"{self.cursor}==")))


def page_of(rows: Sequence[RowT], limit: int, view: Callable[[RowT], ItemT]) -> Page[ItemT]:
    """What is shown of the first `limit` of these rows; one more of them says that there is another page."""
    return Page(items=[view(row) for row in rows[:limit]], next_cursor=cursor_after([row.id for row in rows], limit))


def cursor_after(ids: Sequence[str], limit: int) -> str | None:
    """The cursor for what follows the first `limit` of these ids; None if nothing does."""
    if len(ids) <= limit:
        return None
    return base64.urlsafe_b64encode(UUID(ids[limit - 1]).bytes).decode().rstrip("=")
