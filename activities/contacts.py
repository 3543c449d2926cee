"""What a flow may know of a contact: moments and choices that identify nobody."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, time

from pydantic import BaseModel, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from domain.country_zones import known_zone
from domain.local_time import next_local
from domain.working_time import Weekday
from store.database import Database
from store.events import latest_property
from store.tables import ContactRow, EnrollmentRow, now


class LocalMoment(BaseModel):
    enrollment_id: str
    at: time
    days: list[Weekday]


class Moment(BaseModel):
    moment: datetime


class AttributeAmong(BaseModel):
    enrollment_id: str
    attribute: str
    among: list[str]


class AttributeBracket(BaseModel):
    enrollment_id: str
    attribute: str
    bounds: list[int]


class Found(BaseModel):
    """`answer`: one of the words, or how many bounds are reached; None if nothing of the kind is known."""

    answer: str | int | None = None


class ContactActivities:
    """`sender_zone` is the time zone of contacts of whom neither zone nor country is known."""

    def __init__(self, database: Database, sender_zone: str) -> None:
        self._database = database
        self._sender_zone = sender_zone

    @activity.defn(name="contact.local_moment")
    async def local_moment(self, order: LocalMoment) -> Moment:
        """When it is next this time of day, on one of these weekdays, where the contact is now."""
        async with self._database.read() as session:
            contact = await _contact(session, order.enrollment_id)
        zone = known_zone(contact.time_zone, contact.country, self._sender_zone).zone
        return Moment(moment=next_local(now(), zone, order.at, order.days))

    @activity.defn(name="contact.among")
    async def among(self, order: AttributeAmong) -> Found:
        """Which of some words a contact is for: so says their latest event's property of that name, else an attribute.

        Nothing but one of these words is answered: what else a contact has there stays in the database.
        """
        async with self._database.read() as session:
            contact = await _contact(session, order.enrollment_id)
            latest = await latest_property(session, contact.id, order.attribute, order.among)
        word = latest or contact.attributes.get(order.attribute)
        return Found(answer=word if isinstance(word, str) and word in order.among else None)

    @activity.defn(name="contact.bracket")
    async def bracket(self, order: AttributeBracket) -> Found:
        """How many of some rising bounds the contact's number of that name reaches. The number itself is not told."""
        async with self._database.read() as session:
            contact = await _contact(session, order.enrollment_id)
        number = _number(contact.attributes.get(order.attribute))
        return Found(answer=None if number is None else bisect_right(order.bounds, number))


async def _contact(session: AsyncSession, enrollment_id: str) -> ContactRow:
    enrollment = await session.get_one(EnrollmentRow, enrollment_id)
    return await session.get_one(ContactRow, enrollment.contact_id)


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
