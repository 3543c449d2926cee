"""Leads that are offered to somebody who leaves the team: they go on to the next rep at once."""

from __future__ import annotations

import asyncio
import logging

from api.answering import Given, NotTold, Reach, Refused, give_answer
from domain.people import Person
from domain.questions import Choice
from runtime.in_turns import in_turns
from store.assignments import offered_to
from store.people_tables import AssignmentRow

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
_COMMENT = "Cauce: not active any more"


async def pass_on_offers(services: Reach, person: Person) -> None:
    """Decline, in the person's place, what is offered to them.

    Whatever cannot be told now goes on when the time to respond is over, or when this is asked for again.
    """
    async with services.database.read() as session:
        offers = await offered_to(session, person.id)

    async def decline(offer: AssignmentRow) -> None:
        try:
            await give_answer(services, offer, Given(person, Choice.DECLINE, _COMMENT))
        except (Refused, NotTold) as error:
            logger.info("an offer is not passed on", extra={"assignment_id": offer.id, "error": type(error).__name__})

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await in_turns(decline, offers)
    except TimeoutError:
        logger.warning("not all offers are passed on", extra={"person_id": person.id})
