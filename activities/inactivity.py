"""Enrolling contacts who have been inactive for some time, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel
from temporalio import activity

from domain.flows import FlowType
from store import inactivity
from store.database import Database
from store.tables import now

HEARTBEAT_TIMEOUT = timedelta(seconds=30)
PAGE = 100


class EnrollInactiveContacts(BaseModel):
    """For one flow; how long inactive, and how many a day at the most, is what the code at hand says of it."""

    flow: str


class Enrolled(BaseModel):
    """How many contacts were enrolled by this run of the schedule."""

    count: int


class InactivityActivities:
    """A new enrollment's workflow is started by the sweep."""

    def __init__(self, database: Database, flows: Mapping[str, FlowType]) -> None:
        self._database = database
        self._flows = flows

    @activity.defn(name="enrollment.enroll_inactive")
    async def enroll(self, order: EnrollInactiveContacts) -> Enrolled:
        """Enroll whoever is due, up to the number for this day (UTC). A flow that is gone enrolls nobody.

        Idempotency: a contact is enrolled once however often it runs, and the day's number holds over its runs: both
        are the database's word. The heartbeat keeps the page that comes next and the count so far.
        """
        flow = self._flows.get(order.flow)
        after, count = activity.info().heartbeat_details or ("", 0)
        while flow is not None and flow.enrolls is not None and after is not None:
            async with self._database.write() as session:
                page = await inactivity.enroll_page(
                    session,
                    order.flow,
                    inactive_since=now() - flow.enrolls.inactive_for,
                    reenroll_after=flow.reenroll_after,
                    at_most=flow.enrolls.at_most,
                    after=after,
                    limit=PAGE,
                )
            after, count = page.next_after, count + page.enrolled
            activity.heartbeat(after, count)
        return Enrolled(count=count)
