"""One run of a flow inside this process, held as the SDK's worker holds it: activations in, commands out."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid5

from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    QueryWorkflow,
    RemoveFromCache,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.common import MetricMeter, Priority, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails

from domain.flows import enrollment_workflow_id
from domain.memory import Memory
from workflows.discovery import FlowClass, workflow_runner

T = TypeVar("T")

_RUNS = UUID("0e1f7e0e-6c43-5d0a-8f0e-3f3f1f1c7a55")
_ADVERTISEMENT = "For further information visit"
"""The last line of each of pydantic's complaints."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


class CannotRun(Exception):
    """The flow's code cannot go on: what a worker would try again and again until a deploy mends it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Instance:
    """One run, in the sandbox that workers use. Not usable from within an event loop: see `off_the_loop`.

    `number` tells the runs of one enrollment apart; its ids and its seed of randomness follow from it, so that they are
    the same each time. Every call raises CannotRun when the flow's code raises.
    """

    def __init__(self, flow: FlowClass, contact_id: str, number: int, started_at: datetime) -> None:
        self._definition = workflow._Definition.must_from_class(flow)
        self._name = str(self._definition.name)
        self._workflow_id = enrollment_workflow_id(self._name, contact_id)
        self._run = uuid5(_RUNS, f"{self._workflow_id}/{number}")
        self._first_run_id = str(uuid5(_RUNS, f"{self._workflow_id}/1"))
        self._started_at = started_at
        with _outer_loop():
            try:
                self._instance = self._created()
            except Exception as error:
                raise CannotRun(_told(str(error), type(error).__name__, traceback.format_exc(), flow)) from error
        self._flow = flow

    def begin(self, argument: Payload, at_ns: int) -> list[WorkflowCommand]:
        """Start with the workflow's input."""
        job = InitializeWorkflow(
            workflow_type=self._name,
            workflow_id=self._workflow_id,
            arguments=[argument],
            randomness_seed=self._seed,
            attempt=1,
            first_execution_run_id=self._first_run_id,
        )
        job.start_time.FromDatetime(self._started_at)
        return self.activate(WorkflowActivationJob(initialize_workflow=job), at_ns)

    def activate(
        self, job: WorkflowActivationJob, at_ns: int, history_length: int = 0, *, suggest_new_run: bool = False
    ) -> list[WorkflowCommand]:
        """Tell of one thing that happened at a moment, in nanoseconds since 1970; answer what the flow does then."""
        activation = WorkflowActivation(
            run_id=str(self._run),
            jobs=[job],
            history_length=history_length,
            continue_as_new_suggested=suggest_new_run,
        )
        activation.timestamp.FromNanoseconds(at_ns)
        with _outer_loop(), _failures_told_once():
            completion = self._instance.activate(activation)
        if completion.HasField("failed"):
            failure = completion.failed.failure
            raise CannotRun(
                _told(failure.message, failure.application_failure_info.type, failure.stack_trace, self._flow)
            )
        return list(completion.successful.commands)

    def query(self, name: str, at_ns: int) -> Payload:
        """Ask one of the flow's queries that take nothing."""
        job = WorkflowActivationJob(query_workflow=QueryWorkflow(query_id=name, query_type=name))
        (command,) = self.activate(job, at_ns)
        answer = command.respond_to_query
        if answer.HasField("failed"):
            raise CannotRun(f"its query {name} fails: {answer.failed.message}")
        return answer.succeeded.response

    def memory(self) -> Memory:
        """What the run remembers. Read from the flow's object: no query tells it, since no operator needs it."""
        in_sandbox = self._instance.globals_and_locals["__temporal_in_sandbox"]  # type: ignore[attr-defined]
        return in_sandbox.instance._object._memory  # type: ignore[no-any-return]

    def close(self, at_ns: int) -> None:
        """Let go of what still waits, as a worker does when it evicts a run."""
        # After code that raised, what it left behind may not let itself be ended: that error is the one to tell.
        with suppress(RuntimeError, CannotRun):
            self.activate(WorkflowActivationJob(remove_from_cache=RemoveFromCache()), at_ns)

    @property
    def _seed(self) -> int:
        return self._run.int >> 64

    def _created(self) -> WorkflowInstance:
        """As temporalio/worker/_workflow.py of 1.35 does it, for a run without memo, parent or search attributes."""
        details = WorkflowInstanceDetails(
            payload_converter_factory=pydantic_data_converter._new_payload_converter,
            failure_converter_class=pydantic_data_converter.failure_converter_class,
            interceptor_classes=[],
            defn=self._definition,
            info=workflow.Info(
                attempt=1,
                continued_run_id=None,
                cron_schedule=None,
                execution_timeout=None,
                first_execution_run_id=self._first_run_id,
                headers={},
                namespace="rehearsal",
                original_execution_run_id=str(self._run),
                parent=None,
                root=None,
                raw_memo={},
                retry_policy=None,
                run_id=str(self._run),
                run_timeout=None,
                search_attributes={},
                start_time=self._started_at,
                workflow_start_time=self._started_at,
                task_queue="rehearsal",
                task_timeout=timedelta(seconds=10),
                typed_search_attributes=TypedSearchAttributes.empty,
                workflow_id=self._workflow_id,
                workflow_type=self._name,
                priority=Priority.default,
            ),
            randomness_seed=self._seed,
            extern_functions={
                "__temporal_get_metric_meter": lambda: MetricMeter.noop,
                "__temporal_assert_local_activity_valid": lambda _: None,
            },
            disable_eager_activity_execution=True,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
        return workflow_runner().create_instance(details)


def off_the_loop(work: Callable[[], T]) -> T:
    """Do it on this thread, or on one of its own if an event loop runs here: a flow brings its own loop."""
    if asyncio._get_running_loop() is None:
        return work()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@contextmanager
def _outer_loop() -> Iterator[None]:
    """The SDK expects a worker's event loop around a run. It only marks it, and never gives it anything to do."""
    asyncio._set_running_loop(asyncio.AbstractEventLoop())  # type: ignore[abstract]
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


@contextmanager
def _failures_told_once() -> Iterator[None]:
    """The SDK logs what a flow raises, with its traceback; here it is told by CannotRun."""
    logger = logging.getLogger("temporalio.worker._workflow_instance")
    logger.addFilter(_is_no_failure)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_failure)


def _is_no_failure(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Failed activation")


def _told(message: str, kind: str, trace: str, flow: FlowClass) -> str:
    """`workflows/onboarding.py:38: KeyError: 'plan'`: the innermost line of the flow's own module, if any."""
    module = "/".join(flow.__module__.split(".")[-2:])
    own = [int(line) for file, line in _FRAME.findall(trace) if Path(file).with_suffix("").as_posix().endswith(module)]
    place = f"{module}.py:{own[-1]}: " if own else ""
    lines = [line.strip() for line in message.splitlines() if not line.lstrip().startswith(_ADVERTISEMENT)]
    return f"{place}{kind}: {' '.join(lines)}"
