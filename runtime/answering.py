"""Telling a run what somebody answered: an update, which is the same however often it is told."""

from __future__ import annotations

import asyncio

from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError

from domain.questions import Answer, Refusal, Taken
from runtime.runs import NobodyAnswers, RunGone, Runs, TemporalRefused, reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store.tables import EnrollmentRow

_MOVES = 3
"""How many runs in a row may go on as another one while they are told."""


class AnswerRefused(Exception):
    """The run does not count the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


async def tell_answer(enrollment: EnrollmentRow, answer: Answer, runs: Runs) -> Taken:
    """Have the enrollment's run take an answer. The same one again gets the same word.

    An enrollment whose run is gone is ended here: nothing is pending for it.
    Raises: AnswerRefused, never for `EnrollmentMoving`; NobodyAnswers; TemporalRefused; TemporalUnavailable.
    """
    for move in range(_MOVES):
        # The run that moves keeps its refusal under the id that it was told by: the next one is told by another.
        told_by = f"{answer.id}/{move}" if move else answer.id
        try:
            return await _update(enrollment, answer, told_by, runs)
        except AnswerRefused as refused:
            if refused.refusal is not Refusal.MOVING:
                raise
        except RunGone:
            if not await _is_running(enrollment, runs):
                await runs.end_without_run(enrollment)
                raise AnswerRefused(Refusal.NOT_PENDING) from None
    raise NobodyAnswers("the run moves again and again")


async def _update(enrollment: EnrollmentRow, answer: Answer, told_by: str, runs: Runs) -> Taken:
    try:
        with reaching_temporal():
            update = await runs.handle(enrollment).start_update(
                "answer",
                answer,
                id=told_by,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=Taken,
                rpc_timeout=RPC_TIMEOUT,
            )
            taken: Taken = await update.result(rpc_timeout=RPC_TIMEOUT)
    except WorkflowUpdateFailedError as error:
        refusal = error.cause.type if isinstance(error.cause, ApplicationError) else None
        if refusal in set(Refusal):
            raise AnswerRefused(Refusal(refusal)) from None
        raise TemporalRefused(f"the run refuses: {error.cause}") from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None
        raise NobodyAnswers("no worker answers for the run") from error
    return taken


async def _is_running(enrollment: EnrollmentRow, runs: Runs) -> bool:
    try:
        with reaching_temporal():
            return await runs.is_running(enrollment)
    except RunGone:
        return False
