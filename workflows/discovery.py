"""Finds the flows: one a module of this package, named like its file."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

import workflows
from workflows.flow import Flow

FlowClass = type[Flow[Any]]

PASSED_THROUGH = (
    "activities",
    "domain",
    "emails",
    "integrations",
    "store",
    # What flows stand on: to import it anew for each run would be a fifth of what a worker does.
    "workflows.asking",
    "workflows.details",
    "workflows.doing",
    "workflows.enrolled",
    "workflows.flow",
    "workflows.steps",
)
"""Our modules that no workflow changes: shared with the sandbox, where a flow's own module is imported anew."""


def discover_flows(package: ModuleType = workflows) -> dict[str, FlowClass]:
    """Every flow of a package by its name, sorted.

    Raises: ValueError if a flow is not named like its file, or a trigger of it sets what its settings do not take.
    """
    flows: dict[str, FlowClass] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for member in vars(module).values():
            if isinstance(member, type) and issubclass(member, Flow) and member.__module__ == module.__name__:
                definition = workflow._Definition.from_class(member)
                if definition is None:
                    continue
                if definition.name != module_info.name:
                    raise ValueError(
                        f"{module.__file__}: the flow is named {definition.name!r}, its file {module_info.name!r}: "
                        "make them the same"
                    )
                _require_fitting_triggers(member)
                flows[module_info.name] = member
    return flows


def _require_fitting_triggers(flow: FlowClass) -> None:
    for trigger in flow.about.triggers:
        try:
            flow.settings_model.model_validate(trigger.settings)
        except ValidationError as error:
            names = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
            raise ValueError(
                f"{flow.__module__}: the trigger on {trigger.in_words()} sets what {flow.settings_model.__name__} "
                f"does not take: {names}"
            ) from None


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox that flows run in, in workers and in replays alike."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
