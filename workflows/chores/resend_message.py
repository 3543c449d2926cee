"""Hands over once more a message that was in doubt, after a person or its flow's policy settled the doubt so."""

from __future__ import annotations

from temporalio import workflow

from activities.email import EmailActivities, ResendEmail
from activities.handover import HEARTBEAT_TIMEOUT
from domain.flows import EMAIL_TASK_QUEUE
from domain.messages import SendResult
from workflows.doing import RETRIES, SENDING_TIMEOUT


@workflow.defn(name="resend_message")
class ResendMessage:
    @workflow.run
    async def run(self, order: ResendEmail) -> SendResult:
        while True:
            result = await workflow.execute_activity_method(
                EmailActivities.resend,
                order,
                task_queue=EMAIL_TASK_QUEUE,
                start_to_close_timeout=SENDING_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RETRIES,
                summary="resend a message that was in doubt",
            )
            if result.until is None:
                return result
            await workflow.sleep(result.until - workflow.now(), summary=f"deferred: {result.reason}")
