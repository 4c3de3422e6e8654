"""From a definition to a pipeline that can run."""

import os
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.definition import Definition, read_definition
from lodestone.pipelines.problem import did_you_mean

if TYPE_CHECKING:
    from haystack import Pipeline

# The parameter that says where a store is.
_PLACES = {"FaissDocumentStore": "path", "ElasticsearchStore": "index"}


def load_pipeline(
    name_or_path: str | os.PathLike[str],
    *,
    index: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> "Pipeline":
    """
    Load a pipeline from its definition.

    Classes of `lodestone` and of Haystack's default trusted modules may be used, and no others. Secrets are read
    from environment variables when the pipeline warms up, as Haystack does it.

    :param name_or_path: Path of a YAML file, or a shipped definition's name such as `query_faiss`.
    :param index: Folder that every FaissDocumentStore of the pipeline uses instead of its `path`, and name that every
        ElasticsearchStore uses instead of its `index`; None leaves them.
    :param overrides: Init parameters by class name, set in every component and document store of that class, such as
        `{"ExtractiveReader": {"model": "deepset/tinyroberta-squad2"}}`.
    :returns: The pipeline, connected and not warmed up.
    :raises ConfigurationError: If the file cannot be read, or anything in it is wrong: one line a problem, with file,
        line and what would be right. If no component is of a class named in `overrides`.
    """
    from lodestone.pipelines.validation import examine

    definition = configured(read_definition(name_or_path), index=index, overrides=overrides)
    examination = examine(definition)
    if examination.pipeline is None:
        raise ConfigurationError("\n".join(map(str, examination.problems)))
    return examination.pipeline


def configured(
    definition: Definition,
    *,
    index: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Definition:
    """
    Set init parameters in a definition.

    :param definition: The definition; it is left as it is.
    :param index: As in `load_pipeline`.
    :param overrides: As in `load_pipeline`.
    :returns: The definition with the parameters set.
    :raises ConfigurationError: If nothing in the definition is of a class named in `overrides`, or the index is a URL
        and not a folder.
    """
    data = deepcopy(definition.data)
    specs = list(_typed_mappings(data.get("components"))) if isinstance(data, dict) else []
    if index is not None:
        for spec in specs:
            if (place := _place(spec)) is not None:
                if place == "path" and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(index)):
                    raise ConfigurationError(
                        f"index must be a folder for {definition.file}, got the URL {os.fspath(index)!r}: "
                        "for Elasticsearch name its pipeline, the index by its name, and the URL by ELASTICSEARCH_URL"
                    )
                _set(spec, {place: os.fspath(index)})
    for class_name, parameters in (overrides or {}).items():
        matching = [spec for spec in specs if spec["type"].rpartition(".")[2] == class_name]
        if not matching:
            known = sorted({spec["type"].rpartition(".")[2] for spec in specs})
            raise ConfigurationError(
                f"{definition.file} has no {class_name} to set {', '.join(parameters)} of; it has "
                f"{', '.join(known) or 'no components'}.{did_you_mean(class_name, known)}"
            )
        for spec in matching:
            _set(spec, parameters)
    return replace(definition, data=data)


def names_its_index(name_or_path: str | os.PathLike[str]) -> bool:
    """
    Whether the store of a pipeline is an index with a name, as in Elasticsearch, and not a folder.

    :param name_or_path: Path of a YAML file, or a shipped definition's name.
    :raises ConfigurationError: As `read_definition`.
    """
    data = read_definition(name_or_path).data
    specs = _typed_mappings(data.get("components")) if isinstance(data, dict) else iter(())
    return any(_place(spec) == "index" for spec in specs)


def _place(spec: dict[str, Any]) -> str | None:
    """The parameter that says where a store is; None for what is no store of ours."""
    return _PLACES.get(spec["type"].rpartition(".")[2]) if spec["type"].startswith("lodestone.") else None


def _typed_mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and "." in value["type"]:
            yield value
        for item in value.values():
            yield from _typed_mappings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _typed_mappings(item)


def _set(spec: dict[str, Any], parameters: Mapping[str, Any]) -> None:
    if spec.get("init_parameters") is None:
        spec["init_parameters"] = {}
    if isinstance(spec["init_parameters"], dict):
        spec["init_parameters"].update(deepcopy(dict(parameters)))
