"""How each provider fares, as all workers know it."""

from __future__ import annotations

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.circuit import Circuit
from store.insertion import insert_unless_there
from store.ledger_tables import ProviderRow


async def circuit_of(session: AsyncSession, provider: str) -> Circuit:
    """The provider's circuit at this moment: closed, if nothing is known of it."""
    # The column alone: each message that is sent asks twice.
    known = (await session.exec(select(ProviderRow.circuit).where(ProviderRow.name == provider))).one_or_none()
    return Circuit.model_validate(known) if known else Circuit()


async def lock_circuit(session: AsyncSession, provider: str) -> Circuit:
    """The same, and nobody else changes it until the transaction ends."""
    await insert_unless_there(session, ProviderRow(name=provider))
    query = select(ProviderRow).where(ProviderRow.name == provider).with_for_update()
    row = (await session.exec(query.execution_options(populate_existing=True))).one()
    return Circuit.model_validate(row.circuit)


async def keep_circuit(session: AsyncSession, provider: str, circuit: Circuit) -> None:
    """Write down what became of a circuit that was locked."""
    row = await session.get_one(ProviderRow, provider)
    row.circuit = circuit.model_dump(mode="json")
    session.add(row)
