"""What a step changes of a contact: their attributes, lifecycle stage, score, owner; a note; a sunset."""

from __future__ import annotations

import logging
import operator

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.crm import Change, Crm, CrmChange, CrmRefused, CrmResult, CrmUnavailable, NoLongerWanted

logger = logging.getLogger(__name__)


class ApplyChange(BaseModel):
    """One step's change of the contact of the enrollment. It stays in Temporal: nothing personal may be in it."""

    enrollment_id: str
    step: str
    change: Change
    aliases: list[str] = Field(
        default_factory=list, exclude_if=operator.not_, description="other names of the step, in the database too"
    )


class CrmActivities:
    def __init__(self, crm: Crm) -> None:
        self._crm = crm

    @activity.defn(name="crm.apply")
    async def apply(self, order: ApplyChange) -> CrmResult:
        """Make one change.

        Returns: done, skipped (the enrollment ended before) or refused, each of the last two with its reason.
        Raises: ApplicationError `CrmUnavailable`, retried, after the CRM's own delay where it gives one.
        Idempotency: the change is made once for the enrollment's step, also after the step was renamed.
        """
        asked = CrmChange(
            enrollment_id=order.enrollment_id,
            step=order.step,
            aliases=tuple(order.aliases),
            change=order.change,
            asked_at=activity.info().scheduled_time,
        )
        ids = {"enrollment_id": order.enrollment_id, "step": order.step}
        try:
            applied = await self._crm.apply(asked)
        except NoLongerWanted as error:
            result = CrmResult(status="skipped", reason=error.reason)
        except CrmRefused as error:
            result = CrmResult(status="refused", reason=error.reason)
        except CrmUnavailable as error:
            logger.info("change of the contact waits", extra={**ids, "reason": error.reason})
            raise ApplicationError(
                error.reason,
                type="CrmUnavailable",
                next_retry_delay=error.retry_after,
                category=ApplicationErrorCategory.BENIGN,  # logged above in one line, instead of with a stack trace
            ) from None
        else:
            score = applied.result.get("score")
            result = CrmResult(status="done", score=score if isinstance(score, int) else None)
        logger.info("change of the contact %s", result.status, extra={**ids, "reason": result.reason})
        return result
