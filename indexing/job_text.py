"""A job's definition as the text of a job file that can be run from any folder."""

import os
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any

import yaml

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.job_file import JobDefinition, parse_job
from lodestone.indexing.secrets import HIDDEN, without_secrets
from lodestone.indexing.sources import Source
from lodestone.pipelines.definition import shipped_definitions


def as_text(definition: JobDefinition, index: str) -> str:
    """Write a job down: with absolute paths, without what it leaves at its default, and without secrets.

    :param definition: The job.
    :param index: Folder or name of its index.
    """
    pipeline = definition.pipeline
    metadata = _changed(definition.metadata)
    values: dict[str, Any] = {
        "sources": [_source(source) for source in definition.sources],
        "pipeline": pipeline if pipeline in shipped_definitions() else _absolute(pipeline),
        "index": index,
        "metadata": {"set" if name == "constant" else name: value for name, value in metadata.items()},
        "limits": _changed(definition.settings.limits),
        **{name: value for name, value in _changed(definition.settings).items() if name != "limits"},
        **{name: value for name, value in _changed(definition).items() if name not in _WRITTEN},
    }
    filled = {name: value for name, value in values.items() if value not in ({}, [])}
    text: str = yaml.safe_dump(filled, sort_keys=False, width=float("inf"))
    return without_secrets(text)


_WRITTEN = ("sources", "pipeline", "index", "settings", "metadata")


def read_text(text: str, name: str, index: str | os.PathLike[str]) -> JobDefinition:
    """Read what `as_text` wrote.

    :param text: The text.
    :param name: What messages call it.
    :param index: Folder or name of the index, as it is now.
    :raises ConfigurationError: If it held secrets, or a newer version wrote it.
    """
    if HIDDEN in text:
        raise ConfigurationError(
            f"{name} named a URL with a secret, which is not kept: run `lodestone index` on it again"
        )
    return parse_job(text, Path(name), index)


def _source(source: Source) -> Any:
    path = source.path if source.is_remote else _absolute(source.path)
    values: dict[str, Any] = {"path": path}
    values |= {name: list(patterns) for name, patterns in _changed(source.patterns).items()}
    values |= {"root_name": source.root_name} if source.root_name is not None else {}
    values |= {"rows": _changed(source.columns)} if source.columns is not None else {}
    return path if values.keys() == {"path"} else values


def _absolute(path: str) -> str:
    """An absolute path that stays what it is when `..` is taken out of it, which a link may forbid."""
    plain = os.path.abspath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else os.path.realpath(path)


def _changed(given: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults, as YAML has them."""
    values = asdict(given)
    return {
        each.name: _plain(values[each.name]) for each in fields(given) if getattr(given, each.name) != _default(each)
    }


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else os.fspath(value) if isinstance(value, Path) else value
