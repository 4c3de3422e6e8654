"""Does a value of a definition fit a parameter's annotation? Only a sure no counts."""

import collections.abc
import enum
import inspect
import types
import typing
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

from lodestone.pipelines.problem import did_you_mean, shown

_SEQUENCES = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


def fits(annotation: Any, value: Any) -> bool:
    """
    Check a value against an annotation, in doubt in the value's favour.

    A mapping with a `type` stands for an object (a secret, a device, a document store), so it fits anything but a
    number, a truth value or a plain choice.

    :param annotation: A resolved annotation, such as `int | None` or `Literal["a", "b"]`.
    :param value: A plain value, as YAML gives it.
    :returns: False only where the annotation rules the value out.
    """
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(choice, value) for choice in get_args(annotation))
    if origin is typing.Annotated:
        return fits(get_args(annotation)[0], value)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(annotation))
    if annotation is None or annotation is types.NoneType:
        return value is None
    kind = origin or annotation
    if kind in _SEQUENCES:
        return _fits_sequence(kind, get_args(annotation), value)
    if kind in _MAPPINGS:
        return _fits_mapping(get_args(annotation), value)
    if isinstance(annotation, type):
        return _fits_class(annotation, value)
    return True


def expected(annotation: Any, names: bool = False) -> str:
    """
    Say in words what an annotation allows.

    :param annotation: A resolved annotation.
    :param names: Whether an enumeration's choices are its members' names rather than their values.
    :returns: For example `an integer or null`, `one of 'a', 'b'`.
    """
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        parts = dict.fromkeys(expected(choice, names) for choice in get_args(annotation))
        return " or ".join([*(part for part in parts if part != "null"), *(["null"] if "null" in parts else [])])
    if origin is typing.Annotated:
        return expected(get_args(annotation)[0], names)
    if choices := choices_of(annotation, names):
        return ("one of " if len(choices) > 1 else "") + ", ".join(map(shown, choices))
    if annotation is None or annotation is types.NoneType:
        return "null"
    kind = origin or annotation
    if kind in _SEQUENCES:
        arguments = [argument for argument in get_args(annotation) if argument is not ...]
        inner = expected(arguments[0], names) if len(set(map(repr, arguments))) == 1 else ""
        return f"a list (each item {inner})" if inner and inner != "any value" else "a list"
    if kind in _MAPPINGS:
        arguments = list(get_args(annotation))
        inner = expected(arguments[1], names) if len(arguments) == 2 else ""
        return f"a mapping (each value {inner})" if inner and inner != "any value" else "a mapping"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "a path"
    if not isinstance(annotation, type):
        return "any value"
    article = "an" if annotation.__name__[0] in "AEIOU" else "a"
    return f"{article} {annotation.__name__} (a mapping with its type)"


def given(annotation: Any, value: Any) -> str:
    """
    Show what was given instead of what an annotation allows.

    :param annotation: A resolved annotation that the value does not fit.
    :param value: The value.
    :returns: The value, or the first item of a list or mapping that is wrong while the list itself is not.
    """
    for member in _members(annotation):
        kind, arguments = get_origin(member), [argument for argument in get_args(member) if argument is not ...]
        if kind in _SEQUENCES and isinstance(value, list | tuple) and len(arguments) == 1:
            return f"{shown(next(item for item in value if not fits(arguments[0], item)))} in it"
        if kind in _MAPPINGS and isinstance(value, dict) and len(arguments) == 2:
            key = next(key for key, item in value.items() if not fits(arguments[1], item))
            return f"{shown(value[key])} for {key!r}"
    return shown(value)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def choices_of(annotation: Any, names: bool = False) -> list[Any]:
    """
    List the values of a `Literal` or an enumeration.

    :param annotation: A resolved annotation.
    :param names: Whether to list an enumeration's names rather than its values.
    :returns: The choices; empty for any other annotation.
    """
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        members = list(annotation)
        by_value = not names and all(isinstance(member.value, str) for member in members)
        return [member.value if by_value else member.name for member in members]
    return []


def advice(annotation: Any, value: Any, names: bool = False) -> str:
    """
    Add what helps to correct a wrong value.

    :param annotation: A resolved annotation that the value does not fit.
    :param value: The value.
    :param names: As in `expected`.
    :returns: A sentence with a leading space, or an empty string.
    """
    members = _members(annotation)
    words = [word for member in members for word in choices_of(member, names) if isinstance(word, str)]
    if words and isinstance(value, str):
        return did_you_mean(value, words)
    if str in members and value is not None and not isinstance(value, dict | list):
        return " Put it in quotes."
    if isinstance(value, str) and {int, float, bool} & set(members):
        return _unquoted(value, float in members or int in members)
    return ""


def _unquoted(value: str, number: bool) -> str:
    if not number:
        return " Write it without quotes." if value.lower() in ("true", "false") else ""
    try:
        parsed = float(value)
    except ValueError:
        return ""
    if "e" in value.lower() and "." not in value:
        mantissa, _, exponent = value.lower().partition("e")
        sign = "" if exponent[:1] in "+-" else "+"
        return f" YAML reads it as text; write {mantissa}.0e{sign}{exponent}."
    return " Write it without quotes." if parsed == parsed else ""


def _fits_sequence(kind: Any, arguments: tuple[Any, ...], value: Any) -> bool:
    if isinstance(value, str | bytes):
        return kind not in (list, tuple, set, frozenset)
    if isinstance(value, dict):
        return "type" in value or kind is collections.abc.Iterable or kind is collections.abc.Collection
    if not isinstance(value, list | tuple | set):
        return not _is_plain(value)
    if len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is ...):
        return all(fits(arguments[0], item) for item in value)
    return True


def _fits_mapping(arguments: tuple[Any, ...], value: Any) -> bool:
    if not isinstance(value, dict):
        return not (_is_plain(value) or isinstance(value, list | tuple | set))
    if len(arguments) == 2 and "type" not in value:
        return all(fits(arguments[1], item) for item in value.values())
    return True


def _fits_class(cls: type, value: Any) -> bool:
    is_object = isinstance(value, dict) and "type" in value
    if cls is object or cls is Any:
        return True
    if cls is bool:
        # 0 and 1 are often written for false and true, and work.
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if cls is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if cls is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if cls is str:
        return isinstance(value, str) or is_object
    if issubclass(cls, enum.Enum):
        if not isinstance(value, str):
            return not isinstance(value, list | dict) or is_object
        words = {str(word).lower() for member in cls for word in (member.name, member.value)}
        return value.lower() in words
    if issubclass(cls, PurePath):
        return isinstance(value, str) or is_object
    return not (_stands_for_an_object(cls) and _is_plain(value))


def _stands_for_an_object(cls: type) -> bool:
    """Whether only a mapping with a `type` can become an object of the class: Haystack's own, not Python's."""
    if cls.__module__.partition(".")[0] not in ("haystack", "haystack_integrations", "lodestone"):
        return False
    return inspect.isclass(cls) and not issubclass(cls, str | int | float | dict | list | tuple)


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)
