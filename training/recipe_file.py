"""Recipes as YAML files: found, checked key by key, overridden."""

import contextlib
import operator
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import yaml

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.definition import Definition, KeyPath, parse_definition
from lodestone.pipelines.problem import Problem, did_you_mean, shown
from lodestone.training.contradictions import contradictions
from lodestone.training.recipe import Recipe

_LARGEST = 1_000_000
_MISSING = object()
_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "least": ("at least", operator.ge),
    "above": ("above", operator.gt),
    "most": ("at most", operator.le),
    "below": ("below", operator.lt),
}


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with Lodestone: their files by name, sorted by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.yaml"))}


def read_recipe(name_or_path: str | Path, overrides: Sequence[str] = (), data_folder: Path | None = None) -> Recipe:
    """Read a recipe.

    :param name_or_path: The YAML file, or the name of a shipped recipe.
    :param overrides: `key=value` with keys such as `training.steps` and values in YAML, which go before the file's.
    :param data_folder: What paths of data files are relative to; None for the recipe's folder.
    :raises ConfigurationError: If it cannot be read or anything in it is wrong: one line a problem, with file, line and
        what would be right.
    """
    path = shipped_recipes().get(str(name_or_path), Path(name_or_path))
    definition = parse_definition(_read_text(path), path)
    reader = _RecipeReader(definition, data_folder if data_folder is not None else path.parent)
    return reader.read([_override(each) for each in overrides])


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        known = ", ".join(shipped_recipes())
        hint = did_you_mean(path.stem, shipped_recipes())
        raise ConfigurationError(
            f"there is no recipe {str(path)!r}: no such file, and none of {known}.{hint}"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > _LARGEST:
        raise ConfigurationError(f"{path} is larger than {_LARGEST:,} bytes, which no recipe needs")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8 text; a recipe is YAML") from None


def _override(text: str) -> tuple[KeyPath, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        raise ConfigurationError(f"--set takes KEY=VALUE, such as training.steps=100, got {text!r}")
    try:
        return tuple(part.strip() for part in key.split(".")), yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigurationError(f"--set {key}: {value!r} is no YAML value; put it in quotes") from None


class _RecipeReader:
    """Checks a recipe key by key, and reports all that is wrong at once."""

    def __init__(self, definition: Definition, data_folder: Path) -> None:
        self._definition = definition
        self._data_folder = data_folder
        self._overridden: list[KeyPath] = []
        self._problems: list[str] = []

    def read(self, overrides: Sequence[tuple[KeyPath, Any]]) -> Recipe:
        data = self._definition.data
        for path, value in overrides:
            if isinstance(data, dict):
                self._override(data, path, value)
        recipe = self._section(Recipe, (), data)
        if recipe is not None and not self._problems:
            self._check_together(recipe)
        if self._problems:
            raise ConfigurationError("\n".join(dict.fromkeys(self._problems)))
        return cast(Recipe, recipe)

    def _override(self, data: dict[Any, Any], path: KeyPath, value: Any) -> None:
        for part in path[:-1]:
            held = data.get(part)
            if not isinstance(held, dict):
                held = data[part] = {}
            data = held
        data[path[-1]] = value
        self._overridden.append(path)

    def _section(self, kind: Any, path: KeyPath, value: Any) -> Any:
        """A dataclass of the recipe, or None where something in it is wrong."""
        named = _dotted(path) or "a recipe"
        hints, known = get_type_hints(kind), {each.name: each for each in fields(kind)}
        if not isinstance(value, dict):
            self._refuse(path, f"{named} must be a mapping with the keys {', '.join(known)}, got {shown(value)}")
            return None
        before = len(self._problems)
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known)
                self._refuse((*path, key), f"unknown key {key!r}; valid keys: {', '.join(known)}.{hint}")
        given = {}
        for name, each in known.items():
            if name in value:
                given[name] = self._value(hints[name], (*path, name), value[name], each.metadata)
            elif each.default is MISSING and each.default_factory is MISSING:
                self._refuse(path, f"{_dotted((*path, name))} is missing")
        return kind(**given) if len(self._problems) == before else None

    def _value(self, kind: Any, path: KeyPath, value: Any, limits: Mapping[str, Any]) -> Any:
        if get_origin(kind) in (Union, types.UnionType):
            kinds = [each for each in get_args(kind) if each is not type(None)]
            return None if value is None else self._value(kinds[0], path, value, limits)
        if is_dataclass(kind):
            return self._section(kind, path, value)
        if get_origin(kind) is tuple:
            return self._list(get_args(kind)[0], path, value, limits)
        if get_origin(kind) is dict:
            if not isinstance(value, dict):
                self._refuse(path, f"{path[-1]} must be a mapping, got {shown(value)}")
            return value
        checked = self._scalar(kind, path, value)
        if checked is not _MISSING:
            self._check_limits(path, checked, limits)
        return self._data_path(checked) if path[-1] == "file" and isinstance(checked, str) else checked

    def _list(self, kind: Any, path: KeyPath, value: Any, limits: Mapping[str, Any]) -> tuple[Any, ...]:
        # One file or name may stand alone; a number alone would be taken for how many.
        values = value if isinstance(value, list) else [value]
        if not values or value is None:
            self._refuse(path, f"{_named(path)} must not be empty")
            return ()
        if kind is int and not isinstance(value, list):
            self._refuse(path, f"{_named(path)} must be a list of whole numbers, such as [1, 2], got {shown(value)}")
            return ()
        if is_dataclass(kind):
            # A file alone is its path.
            values = [{"file": each} if isinstance(each, str) else each for each in values]
        return tuple(self._value(kind, (*path, at), each, limits) for at, each in enumerate(values))

    def _scalar(self, kind: type, path: KeyPath, value: Any) -> Any:
        if kind is float and isinstance(value, str):
            # YAML takes 3e-5 for text: it wants 3.0e-5.
            with contextlib.suppress(ValueError):
                value = float(value)
        fits = {
            bool: isinstance(value, bool),
            int: isinstance(value, int) and not isinstance(value, bool),
            float: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max,
            str: isinstance(value, str) and bool(value.strip()),
        }
        if fits[kind]:
            return float(value) if kind is float else value
        wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        self._refuse(path, f"{_named(path)} must be {wanted}, got {shown(value)}")
        return _MISSING

    def _check_limits(self, path: KeyPath, value: Any, limits: Mapping[str, Any]) -> None:
        choices = limits.get("choices")
        if choices is not None and value not in choices:
            hint = did_you_mean(value, choices)
            self._refuse(path, f"{_named(path)} must be one of {', '.join(choices)}, got {shown(value)}.{hint}")
        for name, (words, holds) in _BOUNDS.items():
            if name in limits and not holds(value, limits[name]):
                self._refuse(path, f"{_named(path)} must be {words} {limits[name]}, got {shown(value)}")

    def _data_path(self, file: str) -> str:
        return str(self._data_folder / Path(file).expanduser())

    def _check_together(self, recipe: Recipe) -> None:
        for path, message in contradictions(recipe):
            self._refuse(path, message)
        if recipe.training.steps is not None and ("training", "epochs") in self._overridden:
            self._refuse(
                ("training", "epochs"),
                f"epochs is not looked at where steps is given, which is {recipe.training.steps}; set training.steps, "
                "or set training.steps=null, too",
            )

    def _refuse(self, path: KeyPath, message: str) -> None:
        problem: Problem = self._definition.problem(path, message)
        if any(path[: len(each)] == each for each in self._overridden):
            self._problems.append(f"--set {_dotted(path)}: {problem.message}")
        else:
            self._problems.append(str(problem))


def _named(path: KeyPath) -> str:
    """The name of a value: its key, with its position where it is in a list."""
    return f"{path[-2]}[{path[-1]}]" if isinstance(path[-1], int) else path[-1]


def _dotted(path: KeyPath) -> str:
    """A key path as people write it: `data.files[1].weight`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
