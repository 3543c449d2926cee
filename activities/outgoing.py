"""Which provider a message goes to, while they work and while they do not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from domain.circuit import CircuitRules, Probe, Send, WaitUntil, ask_again
from domain.messages import InOutage, Mailer, MessageStatus
from store import providers
from store.ledger_tables import MessageRow
from store.tables import now


class Way(NamedTuple):
    """The message goes to this provider now; with the permission comes back how that went."""

    mailer: Mailer
    permission: Send | Probe


class NoWay(NamedTuple):
    """No provider takes the message now; ask again at a moment. `lasting`: the outage is longer than failover waits."""

    provider: str
    since: datetime | None
    again_at: datetime
    lasting: bool


class Outgoing:
    """The provider that messages go to and, if there is one, another that they go to when that one has been out of
    order for `failover_after`. Safe to share between activities.
    """

    def __init__(
        self,
        primary: Mailer,
        secondary: Mailer | None = None,
        *,
        failover_after: timedelta = timedelta(minutes=5),
        rules: CircuitRules | None = None,
    ) -> None:
        self.primary = primary
        self._secondary = secondary
        self._failover_after = failover_after
        self._rules = rules or CircuitRules()
        self.mailers: Mapping[str, Mailer] = {
            mailer.name: mailer for mailer in (primary, secondary) if mailer is not None
        }

    def close(self) -> None:
        """Release connections. Nothing is sent afterwards."""
        for mailer in self.mailers.values():
            mailer.close()

    async def way(self, session: AsyncSession, row: MessageRow, in_outage: InOutage) -> Way | NoWay:
        """Choose a provider. One that may have the message already, for all we know, is the only one to get it."""
        bound_to = self.mailers.get(_may_have_it(row) or "")
        if bound_to is not None:
            return await self._by(session, row.id, bound_to)
        return await self.way_of_new(session, row.id, in_outage)

    async def way_of_new(self, session: AsyncSession, key: str, in_outage: InOutage) -> Way | NoWay:
        """The same for what no provider can have yet; `key` tells it from others that wait for the same one."""
        first = await self._by(session, key, self.primary)
        if isinstance(first, Way) or not first.lasting:
            return first
        if in_outage is not InOutage.OTHER_PROVIDER or self._secondary is None:
            return first
        other = await self._by(session, key, self._secondary)
        return other if isinstance(other, Way) else first

    async def _by(self, session: AsyncSession, key: str, mailer: Mailer) -> Way | NoWay:
        circuit = await providers.circuit_of(session, mailer.name)
        if circuit.outage is not None:
            circuit = await providers.lock_circuit(session, mailer.name)
        after, answer = circuit.may_send(now(), self._rules)
        if after is not circuit:
            await providers.keep_circuit(session, mailer.name, after)
        if not isinstance(answer, WaitUntil):
            return Way(mailer, answer)
        since = circuit.open_since
        lasting = since is not None and now() - since >= self._failover_after
        return NoWay(mailer.name, since, ask_again(answer, key), lasting)

    async def worked(self, session: AsyncSession, provider: str, permission: Send | Probe) -> None:
        """The provider answered, whatever it said of the message."""
        if (circuit := await providers.circuit_of(session, provider)).succeeded(permission) is circuit:
            return
        circuit = await providers.lock_circuit(session, provider)
        await providers.keep_circuit(session, provider, circuit.succeeded(permission))

    async def failed(self, session: AsyncSession, provider: str, permission: Send | Probe, messages: int = 1) -> None:
        """The provider was not reached, was out of order, or did not answer, for so many messages in one request."""
        circuit = await providers.lock_circuit(session, provider)
        for _ in range(min(messages, self._rules.failures_to_open)):
            circuit = circuit.failed(permission, now(), self._rules)
        await providers.keep_circuit(session, provider, circuit)


def _may_have_it(row: MessageRow) -> str | None:
    """The provider that may have the message: it was handed to it, and nobody could say what came of that."""
    if row.status == MessageStatus.SENDING:
        return row.provider
    return next((str(each["provider"]) for each in row.attempts if each.get("outcome") == "unconfirmed"), None)
