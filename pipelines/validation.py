"""Checking a whole definition, so that every mistake is reported at once, at its line, with what would be right."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lodestone.pipelines.connections import ConnectionChecker
from lodestone.pipelines.definition import Definition, KeyPath
from lodestone.pipelines.parameters import ParameterChecker
from lodestone.pipelines.problem import Problem, did_you_mean, one_line, shown

if TYPE_CHECKING:
    from haystack import Pipeline

KEYS = ("components", "connections", "connection_type_validation", "max_runs_per_component", "metadata")
# hayhooks reads these two from the same file: how a REST call's parameters and result map to sockets.
HAYHOOKS_KEYS = ("inputs", "outputs")


def check(definition: Definition) -> list[Problem]:
    """
    Find everything that is wrong in a definition.

    First the file is checked against the signatures of the classes it names, none of which is imported unless its
    module is trusted; then the components are built, not warmed up, and connected.

    :param definition: The definition, from `read_definition`.
    :returns: The problems by line; none if the pipeline can be loaded.
    """
    return examine(definition).problems


@dataclass(frozen=True)
class Examination:
    """
    What came of checking a definition.

    :param problems: The problems by line, each once.
    :param pipeline: The pipeline, if there are no problems.
    """

    problems: list[Problem]
    pipeline: "Pipeline | None"


def examine(definition: Definition) -> Examination:
    """
    Check a definition and build its pipeline.

    :param definition: The definition, from `read_definition`.
    :returns: The problems or the pipeline.
    """
    data = definition.data
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"must be a mapping, got {shown(data)}"
        message = f"the definition {what}; it needs the keys components and connections"
        return Examination([definition.problem((), message)], None)
    problems = _check_top_level(definition)
    parts = _check_components(definition, problems)
    pipeline = _empty_pipeline(data)
    for name, part in parts.items():
        if part.instance is not None:
            try:
                pipeline.add_component(name, part.instance)
            except Exception as error:  # Haystack raises ValueError, PipelineError and others here
                problems.append(definition.problem(("components", name), _reason(error)))
                part.instance = None
    connections = ConnectionChecker(definition, pipeline, {name: part.cls for name, part in parts.items()})
    connections.check(data.get("connections", []))
    for key in HAYHOOKS_KEYS:
        connections.check_hayhooks(key, data.get(key))
    problems += connections.problems
    return Examination(sorted(set(problems)), None if problems else pipeline)


@dataclass
class _Part:
    cls: type | None
    instance: Any = None


def _check_top_level(definition: Definition) -> list[Problem]:
    data: dict[Any, Any] = definition.data
    problems = []
    valid = (*KEYS, *HAYHOOKS_KEYS)
    for key in data:
        if key not in valid:
            hint = did_you_mean(key, valid)
            problems.append(definition.problem((key,), f"unknown key {key!r}; valid keys: {', '.join(valid)}.{hint}"))
    components = data.get("components")
    if not isinstance(components, dict) or not components:
        what = f"must be a mapping of names to components, got {shown(components)}" if components else "is empty"
        where: KeyPath = ("components",) if "components" in data else ()
        what = what if "components" in data else "is missing"
        problems.append(definition.problem(where, f"components {what}; a pipeline needs at least one component"))
    runs = data.get("max_runs_per_component", 1)
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        message = f"max_runs_per_component must be an integer of at least 1, got {shown(runs)}"
        problems.append(definition.problem(("max_runs_per_component",), message))
    if not isinstance(validation := data.get("connection_type_validation", True), bool):
        message = f"connection_type_validation must be true or false, got {shown(validation)}"
        problems.append(definition.problem(("connection_type_validation",), message))
    if not isinstance(metadata := data.get("metadata") or {}, dict):
        problems.append(definition.problem(("metadata",), f"metadata must be a mapping, got {shown(metadata)}"))
    return problems


def _check_components(definition: Definition, problems: list[Problem]) -> dict[str, _Part]:
    """Check every component and build those that are right, so that connections can be checked for them."""
    components = definition.data.get("components")
    parts: dict[str, _Part] = {}
    for name, spec in components.items() if isinstance(components, dict) else ():
        path: KeyPath = ("components", name)
        if not isinstance(name, str) or not name or "." in name or name == "_debug":
            message = f"a component cannot be named {name!r}; a name is text without dots, and not '_debug'"
            problems.append(definition.problem(path, message))
            continue
        checker = ParameterChecker(definition)
        part = parts[name] = _Part(checker.check(spec, path, component=True))
        if part.cls is not None and not checker.problems:
            try:
                part.instance = _build(name, spec)
            except Exception as error:  # a component's constructor may raise anything
                checker.problems.append(_build_problem(definition, path, part.cls, spec, error))
        problems += checker.problems
    return parts


def _build(name: str, spec: dict[str, Any]) -> Any:
    """Build one component as Haystack does, in a pipeline of its own, and take it out again."""
    from haystack import Pipeline

    data = {"components": {name: {"init_parameters": {}, **spec}}}
    return Pipeline.from_dict(data, allowed_modules=["lodestone"]).remove_component(name)


def _build_problem(definition: Definition, path: KeyPath, cls: type, spec: dict[str, Any], error: Exception) -> Problem:
    """Point at the parameter that the error speaks of, if there is exactly one, else at the component."""
    reason = _reason(error)
    given = spec.get("init_parameters", {})
    words = set(re.findall(r"\w+", reason))
    named = [key for key in given if key in words] or [
        key for key, value in given.items() if isinstance(value, str) and f"'{value}'" in reason
    ]
    if len(named) == 1:
        path = (*path, "init_parameters", named[0])
    return definition.problem(path, f"{cls.__name__} cannot be built: {reason}")


def _reason(error: Exception) -> str:
    """Give the error's own words: Haystack wraps it in one that repeats all of the component's data."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    # Haystack goes on with how to switch its protection off, which a definition's reader should not be told.
    text = one_line(str(cause).partition(" If you trust the source")[0]) or type(cause).__name__
    return f"{text} is not valid" if isinstance(cause, KeyError) else text


def _empty_pipeline(data: dict[str, Any]) -> "Pipeline":
    from haystack import Pipeline

    runs = data.get("max_runs_per_component", 100)
    metadata = data.get("metadata")
    return Pipeline(
        metadata=metadata if isinstance(metadata, dict) else None,
        max_runs_per_component=runs if isinstance(runs, int) else 100,
        connection_type_validation=data.get("connection_type_validation", True) is not False,
    )
