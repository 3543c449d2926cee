"""What a transaction chooses reps by: rules, people, their loads and shares, and what it has given away itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.lead_choice import Choice, choose
from domain.lead_rules import Lead, LeadRule, LeadRules
from domain.lead_strategies import Candidate, Share
from domain.people import Person, calendar_of
from store.lead_rules import newest_rules
from store.locks import lock
from store.people import active_people
from store.people_tables import AssignmentRow, PersonRow, RuleShareRow
from store.tables import ContactRow, EnrollmentRow, new_id

OPEN = ("offered", "accepted")
"""What an assignment is while the rep has the lead."""


async def take_turn(session: AsyncSession) -> None:
    """Wait until no other transaction chooses; none does until this one ends. To be called first in a transaction.

    Otherwise two could give away the same capacity, or the same turn of a strategy.
    """
    # A lock of rows would not do: a load is a count, and what another transaction is about to insert cannot be locked.
    await lock(session, "choosing reps")


def lead_of(contact: ContactRow) -> Lead:
    """What the rules go by. `product` and `company_size` are attributes of the contact."""
    product = contact.attributes.get("product")
    return Lead(
        country=contact.country,
        region=contact.region,
        product=product if isinstance(product, str) and product else None,
        language=contact.locale.partition("-")[0],
        score=contact.score,
        company_size=_whole(contact.attributes.get("company_size")),
        owner_id=contact.owner_id,
    )


class Chooser:
    """Chooses at one moment, in the turn of its transaction."""

    def __init__(
        self,
        session: AsyncSession,
        version: int,
        rules: LeadRules,
        people: list[Person],
        loads: Counter[str],
        at: datetime,
    ) -> None:
        self._session = session
        self.rules_version = version
        self._rules = rules
        self._people = people
        self._loads = loads
        self._at = at
        self._shares: dict[str, dict[str, RuleShareRow]] = {}

    @classmethod
    async def at(cls, session: AsyncSession, moment: datetime) -> Chooser:
        """Read all that does not depend on the lead."""
        newest = await newest_rules(session)
        rules = LeadRules.model_validate({"rules": newest.rules})
        counts = await session.exec(
            select(AssignmentRow.person_id, func.count())
            .where(
                col(AssignmentRow.released_at).is_(None),
                col(AssignmentRow.person_id).is_not(None),
                col(AssignmentRow.status).in_(OPEN),
            )
            .group_by(col(AssignmentRow.person_id))
        )
        loads = Counter({str(person_id): count for person_id, count in counts})
        return cls(session, newest.version, rules, await active_people(session), loads, moment)

    def is_anybody_free(self) -> bool:
        """Whether there is somebody at work with room for a lead: without them no lead has to be tried."""
        return any(
            (person.capacity is None or self._loads[person.id] < person.capacity)
            and calendar_of(person).is_working(self._at)
            for person in self._people
        )

    async def choose(self, lead: Lead, had_it: Collection[str]) -> Choice:
        """Who is to get a lead, as of now; nothing is given with it."""
        matching = self._rules.matching(lead)
        await self._read_shares(matching)
        while True:
            candidates = {rule.name: self._candidates(rule) for rule in matching}
            choice = choose(self._rules, lead, candidates, had_it, self._at)
            if choice.person_id is None or await self._keep(choice.person_id):
                return choice
            self._people = [person for person in self._people if person.id != choice.person_id]

    def decide(self, enrollment: EnrollmentRow, step: str, number: int, choice: Choice) -> AssignmentRow:
        """Make a lead's next decision as it was chosen: an offer, of which account is kept, or a place in the queue."""
        reasons = [reason.model_dump(mode="json", exclude_none=True) for reason in choice.reasons]
        row = decision(enrollment, step, number, choice.person_id, reasons, self.rules_version)
        row.rule = choice.rule
        self._session.add(row)
        if choice.person_id is not None and choice.rule is not None:
            self._loads[choice.person_id] += 1
            shares = self._shares[choice.rule]
            for person_id, share in choice.shares.items():
                known = shares.setdefault(person_id, RuleShareRow(rule=choice.rule, person_id=person_id))
                known.sqlmodel_update(share._asdict())
                self._session.add(known)
        return row

    async def _read_shares(self, rules: Collection[LeadRule]) -> None:
        unread = {rule.name for rule in rules} - self._shares.keys()
        if unread:
            self._shares |= {name: {} for name in unread}
            for row in await self._session.exec(select(RuleShareRow).where(col(RuleShareRow.rule).in_(unread))):
                self._shares[row.rule][row.person_id] = row

    def _candidates(self, rule: LeadRule) -> list[Candidate]:
        shares = {person_id: _share(row) for person_id, row in self._shares[rule.name].items()}
        return [
            Candidate(person, self._loads[person.id], shares.get(person.id, Share()))
            for person in self._people
            if rule.is_for(person)
        ]

    async def _keep(self, person_id: str) -> bool:
        """Keep somebody from being deleted until the transaction ends; False if they are not active, or gone."""
        query = select(PersonRow.id).where(PersonRow.id == person_id, col(PersonRow.active))
        return (await self._session.exec(query.with_for_update(read=True, key_share=True))).first() is not None


def decision(
    enrollment: EnrollmentRow,
    step: str,
    number: int,
    person_id: str | None,
    reasons: list[dict[str, Any]],
    rules_version: int,
) -> AssignmentRow:
    """A lead offered to a person or, without one, put into the queue; not stored yet."""
    return AssignmentRow(
        id=new_id(),
        enrollment_id=enrollment.id,
        contact_id=enrollment.contact_id,
        flow=enrollment.flow,
        step=step,
        number=number,
        person_id=person_id,
        rules_version=rules_version,
        status="queued" if person_id is None else "offered",
        reasons=reasons,
    )


def _share(row: RuleShareRow) -> Share:
    return Share(**{field: getattr(row, field) for field in Share._fields})


def _whole(value: JsonValue) -> int | None:
    """A number of people, also as forms and files write it."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
