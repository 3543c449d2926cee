"""Starting enrollments by the page, with as little as can be said of one alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from temporalio.exceptions import WorkflowAlreadyStartedError

from runtime.dispatch import Dispatcher
from runtime.in_turns import in_turns
from runtime.runs import TemporalRefused, reaching_temporal
from store import enrollments, holds
from store.tables import EnrollmentRow

logger = logging.getLogger(__name__)


class BulkStarter:
    """As `Dispatcher.start` of each, with two transactions for all of them."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._database = dispatcher.database

    async def __call__(self, rows: Sequence[EnrollmentRow]) -> None:
        """Start enrollments, and mark them started. What Temporal does not take now is left to the sweep.

        Raises: TemporalUnavailable, with the rest left for later, also that of what was started.
        """
        if not rows:
            return
        async with self._database.read() as session:
            active = await enrollments.active_among(session, [row.id for row in rows])
            held = await holds.held_among(session, rows)

        async def begin(row: EnrollmentRow) -> bool:
            """Answer whether it was begun by this, and is still to be marked."""
            try:
                with reaching_temporal():
                    await self._dispatcher.begin(row, self._dispatcher.flows[row.flow], held=row.id in held)
            except WorkflowAlreadyStartedError:
                await self._dispatcher.start(row)
                return False
            except TemporalRefused as refusal:
                logger.error("Temporal refuses an enrollment", extra={"enrollment_id": row.id, "error": str(refusal)})
                return False
            return True

        starting = [row for row in rows if row.id in active and row.flow in self._dispatcher.flows]
        begun = [row for row, new in zip(starting, await in_turns(begin, starting), strict=True) if new]
        async with self._database.write() as session:
            plainly = [row.id for row in begun if row.id not in held]
            lost = set(plainly) - await enrollments.mark_started(session, plainly)
        for row in begun:
            if row.id in held or row.id in lost:
                await self._dispatcher.mark_started(row, held=row.id in held)
