"""The people whom an enrollment's settings name to be asked: there has to be somebody to answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from api.problems import invalid_request
from domain.questions import Asked
from store.people import people_by_ids

Path = tuple[str | int, ...]

NOBODY_ACTIVE = "expected the id of an active person: GET /v1/people?active=true lists them"


async def require_people_to_ask(session: AsyncSession, settings: BaseModel, *within: str) -> None:
    """Raises: ProblemError 422, naming each place where what was set names a person who is unknown or inactive."""
    named = dict(_named(settings, ("body", *within, "settings")))
    if not named:
        return
    active = {person.id for person in await people_by_ids(session, set(named.values())) if person.active}
    if unfit := [path for path, person_id in named.items() if person_id not in active]:
        raise invalid_request([{"loc": path, "msg": NOBODY_ACTIVE} for path in unfit])


def _named(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Where, at any depth, a person is named to be asked, and their id. What was left to defaults is passed by."""
    if isinstance(value, Asked) and value.person_id is not None:
        yield (*path, "person_id"), value.person_id
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _named(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _named(inner, (*path, str(name)))
    elif isinstance(value, tuple | list):
        for position, inner in enumerate(value):
            yield from _named(inner, (*path, position))
