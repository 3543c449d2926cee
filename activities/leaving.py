"""Nobody is asked anything for an enrollment that leaves: its run, which does not know yet, is told in a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from store.enrollments import Leaving

_TOLD_WITHIN = timedelta(seconds=5)


@asynccontextmanager
async def refused_while_leaving() -> AsyncIterator[None]:
    """Raises: ApplicationError `EnrollmentLeaving`, retried, in place of `Leaving`: the run's exit ends the retries."""
    try:
        yield
    except Leaving:
        raise ApplicationError(
            "the enrollment is leaving",
            type="EnrollmentLeaving",
            next_retry_delay=_TOLD_WITHIN,
            category=ApplicationErrorCategory.BENIGN,
        ) from None
