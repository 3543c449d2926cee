"""A bulk enrollment that continues as new before long. In a module of its own: the sandbox imports it anew."""

from __future__ import annotations

from temporalio import workflow

from activities.bulk_enrollments import BulkEnrollment
from domain.bulk_enrollments import Standing
from workflows.lists.bulk_enrollment import BulkEnrollmentWorkflow


@workflow.defn(name="bulk_enrollment")
class ShortRuns(BulkEnrollmentWorkflow):
    steps_a_run = 3

    @workflow.run
    async def run(self, order: BulkEnrollment) -> Standing:
        return await super().run(order)
