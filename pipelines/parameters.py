"""Checking `type` and `init_parameters` of a component, and of everything that stands in them."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin

from lodestone.pipelines import classes
from lodestone.pipelines.definition import Definition, KeyPath
from lodestone.pipelines.problem import Problem, did_you_mean, shown
from lodestone.pipelines.values import advice, expected, fits, given

_KEYS = ("type", "init_parameters")
_UNKNOWN = object()


class ParameterChecker:
    """
    Checks the typed mappings of one definition against the signatures of the classes they name.

    :param definition: The definition; its `problem` says where things are.
    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self.problems: list[Problem] = []

    def check(self, spec: Any, path: KeyPath, *, component: bool) -> type | None:
        """
        Check `{type: ..., init_parameters: {...}}`; what is wrong is added to `problems`.

        :param spec: The mapping.
        :param path: Its key path.
        :param component: Whether the type must be a Haystack component.
        :returns: The class that it names, None if there is no such class.
        """
        label = f"the component '{path[-1]}'" if component else f"'{path[-1]}'"
        if not isinstance(spec, dict):
            self._add(path, f"{label} must be a mapping with type and init_parameters, got {shown(spec)}")
            return None
        if component:
            for key in spec.keys() - set(_KEYS):
                hint = did_you_mean(key, _KEYS)
                self._add((*path, key), f"{label} has an unknown key {key!r}; valid keys: {', '.join(_KEYS)}.{hint}")
        if "type" not in spec:
            self._add(path, f"{label} has no type; give the full name of its class, such as {classes.EXAMPLE}")
            return None
        try:
            cls = classes.find_class(spec["type"], component=component)
        except classes.UnknownClassError as error:
            self._definition_problem((*path, "type"), f"{label}: {error}", value=True)
            self._check_nested(spec.get("init_parameters"), (*path, "init_parameters"))
            return None
        if component or "init_parameters" in spec or "data" not in spec:
            self._check_init_parameters(cls, spec, path)
        return cls

    def _check_init_parameters(self, cls: type, spec: dict[Any, Any], path: KeyPath) -> None:
        values = spec.get("init_parameters", {})
        path_here: KeyPath = (*path, "init_parameters")
        if not isinstance(values, dict):
            what = "is empty; write {} or leave it out" if values is None else f"must be a mapping, got {shown(values)}"
            self._add(path_here, f"init_parameters of {cls.__name__} {what}")
            return
        parameters = _init_parameters(cls)
        if parameters is None:
            self._check_nested(values, path_here)
            return
        self._check_names(cls, parameters, values, path_here if "init_parameters" in spec else path)
        hints = _Hints(cls)
        for name, value in values.items():
            here = (*path_here, name)
            if name in parameters:
                self._check_value(cls, parameters[name], hints(name), value, here)
            elif not isinstance(value, dict) or "type" not in value:
                self._check_nested(value, here)

    def _check_names(
        self, cls: type, parameters: dict[str, inspect.Parameter], values: dict[Any, Any], path: KeyPath
    ) -> None:
        from_dict = classes.own_from_dict_source(cls)
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        valid = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
        for name in values:
            if name in valid or open_ended or _mentions(from_dict, name):
                continue
            choices = f"valid parameters: {', '.join(valid)}" if valid else "it takes none"
            self._add((*path, name), f"{cls.__name__} has no parameter {name!r}; {choices}.{did_you_mean(name, valid)}")
        for name in valid:
            required = parameters[name].default is inspect.Parameter.empty
            if required and name not in values and f'setdefault("{name}"' not in from_dict:
                self._add(path, f"{cls.__name__} needs the parameter '{name}'; valid parameters: {', '.join(valid)}")

    def _check_value(self, cls: type, parameter: inspect.Parameter, annotation: Any, value: Any, path: KeyPath) -> None:
        nested = _is_typed(value)
        found = self.check(value, path, component=False) if nested else None
        if not nested:
            self._check_nested(value, path)
        if annotation is _UNKNOWN or (value is None and parameter.default is None):
            return
        label = f"{parameter.name} of {cls.__name__}"
        if isinstance(value, str) and _resolves_text(annotation):
            for name in classes.untrusted_names(value):
                trusted = ", ".join(classes.trusted_modules())
                message = f"{label} names '{name}', whose module is not trusted; trusted modules: {trusted}"
                self._definition_problem(path, message, value=True)
        names = _restored_by_member_name(annotation, classes.own_from_dict_source(cls))
        if not fits(annotation, value) and not self._converted(cls, parameter.name, annotation, value):
            message = f"{label} must be {expected(annotation, names)}, got {given(annotation, value)}."
            self._definition_problem(path, message + advice(annotation, value, names), value=True)
        elif found is not None and not _may_hold(annotation, found):
            message = f"{label} must be {expected(annotation)}, got a {found.__name__}"
            self._definition_problem((*path, "type"), message, value=True)

    def _converted(self, cls: type, name: str, annotation: Any, value: Any) -> bool:
        """Whether the class's own `from_dict` may turn plain text into the object that the annotation asks for."""
        simple = {str, int, float, bool, types.NoneType}
        members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        objects = [member for member in members if isinstance(member, type) and member not in simple]
        enums = [member for member in objects if expected(member).startswith("one of")]
        return bool(objects) and not enums and _mentions(classes.own_from_dict_source(cls), name)

    def _check_nested(self, value: Any, path: KeyPath) -> None:
        """Check the typed mappings in lists and mappings, which some components restore by themselves."""
        for here, spec in _typed_mappings(value, path):
            self.check(spec, here, component=False)

    def _add(self, path: KeyPath, message: str) -> None:
        self._definition_problem(path, message)

    def _definition_problem(self, path: KeyPath, message: str, value: bool = False) -> None:
        self.problems.append(self._definition.problem(path, message, value))


class _Hints:
    """The annotations of a class's `__init__`, each resolved by itself: one that cannot be does not hide the rest."""

    def __init__(self, cls: type) -> None:
        init: Any = inspect.unwrap(cls.__init__)  # type: ignore[misc]
        self._raw = getattr(init, "__annotations__", {})
        self._globals = getattr(init, "__globals__", {})

    def __call__(self, name: str) -> Any:
        if name not in self._raw:
            return _UNKNOWN
        holder = types.SimpleNamespace(__annotations__={name: self._raw[name]})
        try:
            return typing.get_type_hints(holder, globalns=self._globals)[name]
        except Exception:  # a name that exists for type checkers only, or any error in evaluating it
            return _UNKNOWN


def _init_parameters(cls: type) -> dict[str, inspect.Parameter] | None:
    try:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    except (TypeError, ValueError):
        return None
    kept = (parameter for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL)
    return {parameter.name: parameter for parameter in kept}


def _is_typed(value: Any) -> bool:
    """Whether Haystack would take the value of a parameter for an object and import its class."""
    return isinstance(value, dict) and isinstance(value.get("type"), str) and "." in value["type"]


def _typed_mappings(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[Any, Any]]]:
    if _is_typed(value) and ("init_parameters" in value or classes.is_trusted(value["type"])):
        yield path, value
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _typed_mappings(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _typed_mappings(item, (*path, index))


def _restored_by_member_name(annotation: Any, from_dict: str) -> bool:
    """Whether `from_dict` looks an enumeration up by its members' names (`Policy[...]`), not by their values."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return any(isinstance(member, type) and f"{member.__name__}[" in from_dict for member in members)


def _mentions(source: str, name: object) -> bool:
    return f'"{name}"' in source or f"'{name}'" in source


def _resolves_text(annotation: Any) -> bool:
    """Whether Haystack turns text into a type or a callable here, by importing what it names."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    origins = {get_origin(member) or member for member in members}
    return str not in origins and bool(origins & {type, Callable, typing.TypeAlias})


def _may_hold(annotation: Any, cls: type) -> bool:
    """Whether an object of the class fits; in doubt it does (protocols, unions of anything else, `Any`)."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for member in members:
        if member is types.NoneType:
            continue
        if not isinstance(member, type) or getattr(member, "_is_protocol", False) or issubclass(cls, member):
            return True
        if member.__module__ == "builtins":
            return True
    return False
