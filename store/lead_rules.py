"""The assignment rules that are in force: each change makes a new version, and the versions before are kept."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.lead_rules import DEFAULT_RULES, LeadRules
from store.insertion import insert_unless_there
from store.people_tables import LeadRulesRow, PersonRow


class RulesChanged(Exception):
    """Somebody else has changed the rules: `version` is the newest."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class UnknownPeople(Exception):
    """`rules` are the positions, from 0, of rules that are for a person who is not stored."""

    def __init__(self, rules: list[int]) -> None:
        super().__init__(rules)
        self.rules = rules


async def newest_rules(session: AsyncSession) -> LeadRulesRow:
    """The rules in force; version 0, which is not stored, before there are any."""
    newest = (await session.exec(select(LeadRulesRow).order_by(col(LeadRulesRow.version).desc()).limit(1))).first()
    return newest or _version(0, DEFAULT_RULES)


async def replace_rules(session: AsyncSession, rules: LeadRules, version: int | None = None) -> LeadRulesRow:
    """Put rules in force, in place of those of `version`, or of whatever there are if it is None.

    Raises: RulesChanged, UnknownPeople.
    """
    present = (await newest_rules(session)).version
    if version is not None and version != present:
        raise RulesChanged(present)
    named = {rule.person for rule in rules.rules if rule.person is not None}
    # Kept from being deleted until the rules that name them are stored; in order, as `update_person` locks them.
    query = select(PersonRow.id).where(col(PersonRow.id).in_(named)).order_by(col(PersonRow.id))
    stored = set(await session.exec(query.with_for_update(read=True, key_share=True)))
    if unknown := [at for at, rule in enumerate(rules.rules) if rule.person and rule.person not in stored]:
        raise UnknownPeople(unknown)
    row = _version(present + 1, rules)
    if not await insert_unless_there(session, row):
        raise RulesChanged(present + 1)
    return row


def _version(version: int, rules: LeadRules) -> LeadRulesRow:
    stored = [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules.rules]
    return LeadRulesRow(version=version, rules=stored)
