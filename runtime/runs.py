"""The runs of enrollments, as Temporal has them, and what its errors mean for whoever tells it something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from domain.flows import Exit, Outcome, enrollment_workflow_id
from runtime.encryption import CannotDecrypt
from runtime.temporal import RPC_TIMEOUT
from store import enrollments
from store.database import Database
from store.tables import EnrollmentRow

_REFUSALS = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE)
"""Answers about one row. Any other failure is taken for one of the server, which the next row would meet too."""


class TemporalUnavailable(Exception):
    """Temporal could not be told now. Nothing is lost: the sweep will."""


class TemporalRefused(TemporalUnavailable):
    """Temporal does not take this one: to ask again changes nothing until something else does."""


class NobodyAnswers(TemporalRefused):
    """No worker has taken in time what a run was told."""


class RunGone(Exception):
    """The workflow has no open run."""


class Runs:
    """Each enrollment's newest run, whatever runs came before it under the same id."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database

    def handle(self, enrollment: EnrollmentRow) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(enrollment_workflow_id(enrollment.flow, enrollment.contact_id))

    async def is_running(self, enrollment: EnrollmentRow) -> bool:
        """Whether the open run under the workflow id is this enrollment's. Raises: RPCError, CannotDecrypt."""
        newest = await self.handle(enrollment).describe(rpc_timeout=RPC_TIMEOUT)
        return (
            newest.status is WorkflowExecutionStatus.RUNNING
            and await newest.memo_value("enrollment_id", None) == enrollment.id
        )

    async def end_without_run(self, enrollment: EnrollmentRow) -> None:
        """A run records its outcome before it closes: an enrollment that is active without a run has lost it."""
        outcome = Outcome(exit=Exit.CANCELLED, step=None, reason="its run was gone from Temporal")
        async with self._database.write() as session:
            await enrollments.record_outcome(session, enrollment.id, outcome)


@contextmanager
def reaching_temporal() -> Iterator[None]:
    """Raises: RunGone, TemporalRefused or TemporalUnavailable in place of what the client raises."""
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and not _is_of_namespace(error):
            raise RunGone from error
        refused = error.status in _REFUSALS
        raise (TemporalRefused if refused else TemporalUnavailable)(f"{error.status.name}: {error.message}") from error
    except CannotDecrypt as error:
        raise TemporalRefused(str(error)) from error
    except RuntimeError as error:  # what a lazy client raises while it cannot connect
        raise TemporalUnavailable("no connection") from error


def _is_of_namespace(error: RPCError) -> bool:
    """Whether it is the whole namespace that is not there: of its runs this says nothing."""
    details = error.grpc_status.details if error.grpc_status else ()
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)
