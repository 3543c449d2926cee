"""Whom a bulk enrollment or a broadcast is for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.limits import Id

MAX_IDS = 10_000


class AudienceSource(BaseModel):
    """Who is in a segment when it begins, some contacts by id, or those of an import: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    segment_id: Id | None = None
    import_id: Id | None = None
    contact_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_IDS)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> AudienceSource:
        if sum(source is not None for source in (self.segment_id, self.import_id, self.contact_ids)) != 1:
            raise ValueError("give exactly one of segment_id, import_id and contact_ids")
        return self
