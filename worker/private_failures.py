"""Keeps the texts of unforeseen exceptions out of Temporal and the logs: they may quote personal data."""

from __future__ import annotations

from typing import Any

from temporalio.exceptions import ApplicationError, TemporalError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class PrivateFailures(Interceptor):
    """An activity's own `ApplicationError` passes; of any other exception its type and stack trace are left."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _PrivateActivity(next)


class _PrivateActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            return await super().execute_activity(input)
        except TemporalError:
            raise
        except Exception as error:
            kind = type(error).__name__
            text = f"{kind}; its text stays out of Temporal, where it would be kept"
            raise ApplicationError(text, type=kind).with_traceback(error.__traceback__) from None
