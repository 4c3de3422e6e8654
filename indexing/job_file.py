"""A job as a YAML file: what to index, with what, into what."""

import math
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.executors import EXECUTORS
from lodestone.indexing.limits import Limits
from lodestone.indexing.metadata import RESERVED, MetadataRules, path_pattern
from lodestone.indexing.patterns import Patterns
from lodestone.indexing.settings import Settings
from lodestone.indexing.sources import Source
from lodestone.indexing.tables import Columns
from lodestone.pipelines.definition import Definition, KeyPath, parse_definition, shipped_definitions
from lodestone.pipelines.loader import names_its_index
from lodestone.pipelines.problem import Problem, did_you_mean, shown

DEFAULT_PIPELINE = "indexing_faiss"
_FLAGS = ("prune", "verify")
_EXECUTION = ("executor", "address")
_LONGEST = 1_000_000


@dataclass(frozen=True)
class JobDefinition:
    """What a job file says.

    :param sources: What to index.
    :param pipeline: Path or shipped name of the indexing pipeline.
    :param index: Folder of the index, or its name in Elasticsearch; None for the pipeline's own.
    :param settings: Workers, batches and limits.
    :param metadata: Which metadata documents get.
    :param prune: Whether to delete what is gone even if that is most of it.
    :param verify: Whether to compare files by hash.
    :param executor: Where the work is done: "local" or "ray".
    :param address: Of the Ray cluster.
    """

    sources: list[Source]
    pipeline: str = DEFAULT_PIPELINE
    index: str | Path | None = None
    settings: Settings = field(default_factory=Settings)
    metadata: MetadataRules = field(default_factory=MetadataRules)
    prune: bool = False
    verify: bool = False
    executor: str = "local"
    address: str | None = None

    def overridden(self, *, limits: dict[str, Any], workers: int | None, **given: Any) -> "JobDefinition":
        """The job with some of it replaced.

        :param limits: Limits to set, by name; None leaves one as it is.
        :param workers: Worker processes; None leaves them.
        :param given: Other fields of the job; None, an empty list and False leave one.
        """
        settings = replace(self.settings, limits=replace(self.settings.limits, **_set(limits)))
        settings = replace(settings, **_set({"workers": workers}))
        return replace(self, settings=settings, **{name: value for name, value in given.items() if value})


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def read_job(file: Path) -> JobDefinition:
    """Read a job file.

    Paths in it that are relative are so to its folder.

    :param file: The file, YAML.
    :raises ConfigurationError: If it cannot be read or anything in it is wrong: one line a problem, with file, line and
        what would be right.
    """
    try:
        text = file.read_bytes()[: _LONGEST + 1].decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text; a job file is YAML") from None
    if len(text) > _LONGEST:
        raise ConfigurationError(f"{file} is larger than {_LONGEST:,} bytes, which no job file needs")
    return _JobReader(parse_definition(text, file)).read()


def parse_job(text: str, file: Path, index: str | os.PathLike[str]) -> JobDefinition:
    """Read a job from text.

    :param text: YAML.
    :param file: What messages call it; relative paths are relative to its folder.
    :param index: Folder of the index, or its name, whatever the text says.
    :raises ConfigurationError: As `read_job`.
    """
    return replace(_JobReader(parse_definition(text, file)).read(), index=os.fspath(index))


class _JobReader:
    """Checks a job file key by key, and reports all that is wrong at once."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._folder = definition.path.parent
        self._problems: list[Problem] = []

    def read(self) -> JobDefinition:
        keys = ("sources", "pipeline", "index", "include", "exclude", "metadata", "limits", "workers")
        job = self._mapping(
            (), self._definition.data, (*keys, "batch_passages", "batch_files", "archives", *_EXECUTION, *_FLAGS)
        )
        patterns = Patterns(self._texts(("include",), job), self._texts(("exclude",), job))
        sources = self._sources(job, patterns)
        settings = {
            name: self._number((name,), job, whole=True, least=0 if name == "workers" else 1)
            for name in ("workers", "batch_passages", "batch_files")
            if job.get(name) is not None
        }
        pipeline = self._pipeline(job)
        index = self._index(job, pipeline)
        metadata, limits, archives = self._metadata(job), self._limits(job), self._flag(("archives",), job, True)
        prune, verify = (self._flag((name,), job, False) for name in _FLAGS)
        executor, address = self._executor(job)
        if self._problems:
            raise ConfigurationError("\n".join(map(str, sorted(set(self._problems)))))
        whole = Settings(**settings, archives=archives, limits=Limits(**limits))
        return JobDefinition(sources, pipeline, index, whole, metadata, prune, verify, executor, address)

    def _sources(self, job: dict[str, Any], everywhere: Patterns) -> list[Source]:
        given = job.get("sources")
        if not isinstance(given, list) or not given:
            what = f"must be a list, got {shown(given)}" if given else "is missing or empty"
            self._refuse(("sources",), f"sources {what}; name at least one folder, file, glob or URL")
            return []
        return [self._source(("sources", at), entry, everywhere) for at, entry in enumerate(given)]

    def _source(self, path: KeyPath, entry: Any, everywhere: Patterns) -> Source:
        if isinstance(entry, str):
            entry = {"path": entry}
        source = self._mapping(path, entry, ("path", "include", "exclude", "root_name", "rows"))
        location = self._text((*path, "path"), source)
        if location is None and isinstance(entry, dict):
            self._refuse(path, "a source needs a path: a folder, a file, a glob or a URL")
        include, exclude = self._texts((*path, "include"), source), self._texts((*path, "exclude"), source)
        patterns = Patterns(include or everywhere.include, (*everywhere.exclude, *exclude))
        columns = self._columns((*path, "rows"), source) if "rows" in source else None
        root_name = self._text((*path, "root_name"), source)
        return Source(self._path(location) or "", patterns, columns, root_name)

    def _columns(self, path: KeyPath, source: dict[str, Any]) -> Columns:
        rows = self._mapping(path, source["rows"], ("content", "meta", "id"))
        content = self._texts((*path, "content"), rows)
        if not content:
            self._refuse(path, "rows needs content: the columns that make a document's text")
        meta = self._texts((*path, "meta"), rows)
        self._refuse_reserved((*path, "meta"), meta)
        return Columns(content, meta, self._text((*path, "id"), rows))

    def _metadata(self, job: dict[str, Any]) -> MetadataRules:
        path: KeyPath = ("metadata",)
        rules = self._mapping(path, job.get("metadata") or {}, ("path", "front_matter", "set"))
        template = self._text((*path, "path"), rules)
        if template is not None:
            try:
                self._refuse_reserved((*path, "path"), path_pattern(template).groupindex)
            except ValueError as error:
                self._refuse((*path, "path"), f"metadata.path is no pattern: {error}")
        front = self._texts((*path, "front_matter"), rules)
        self._refuse_reserved((*path, "front_matter"), front)
        constant = rules.get("set") or {}
        if not isinstance(constant, dict) or not all(isinstance(name, str) for name in constant):
            self._refuse((*path, "set"), f"metadata.set must be a mapping of names to values, got {shown(constant)}")
            constant = {}
        self._refuse_reserved((*path, "set"), constant)
        return MetadataRules(template, front, constant)

    def _limits(self, job: dict[str, Any]) -> dict[str, Any]:
        names = [each.name for each in fields(Limits)]
        limits = self._mapping(("limits",), job.get("limits") or {}, names)
        whole = {each.name for each in fields(Limits) if each.type in (int, int | None)}
        return {
            name: self._number(("limits", name), limits, whole=name in whole, least=None)
            for name in names
            if limits.get(name) is not None
        }

    def _executor(self, job: dict[str, Any]) -> tuple[str, str | None]:
        executor, address = (self._text((name,), job) for name in _EXECUTION)
        executor = "local" if executor is None else executor
        if executor not in EXECUTORS:
            hint = did_you_mean(executor, EXECUTORS)
            self._refuse(("executor",), f"executor must be one of {', '.join(EXECUTORS)}, got {shown(executor)}.{hint}")
        elif executor == "local" and address is not None:
            self._refuse(("address",), "address is for the executor ray; add executor: ray")
        return executor, address

    def _pipeline(self, job: dict[str, Any]) -> str:
        name = self._text(("pipeline",), job)
        return DEFAULT_PIPELINE if name is None else name if name in shipped_definitions() else self._path(name) or ""

    def _index(self, job: dict[str, Any], pipeline: str) -> str | None:
        name = self._text(("index",), job)
        try:
            return name if name is None or names_its_index(pipeline) else self._path(name)
        except ConfigurationError:  # whoever loads the pipeline says what is wrong with it
            return self._path(name)

    def _path(self, path: str | None) -> str | None:
        if path is None or "://" in path:
            return path
        return os.path.normpath(self._folder / Path(path).expanduser())

    def _mapping(self, path: KeyPath, value: Any, valid: Any) -> dict[str, Any]:
        named = ".".join(map(str, path)) or "the job"
        if not isinstance(value, dict):
            self._refuse(path, f"{named} must be a mapping with the keys {', '.join(valid)}, got {shown(value)}")
            return {}
        for key in value:
            if key not in valid:
                hint = did_you_mean(key, valid)
                self._refuse((*path, key), f"unknown key {key!r}; valid keys: {', '.join(valid)}.{hint}")
        return value

    def _text(self, path: KeyPath, where: dict[str, Any]) -> str | None:
        value = where.get(str(path[-1]))
        if value is not None and (not isinstance(value, str) or not value.strip()):
            self._refuse(path, f"{path[-1]} must be text, got {shown(value)}")
            return None
        return value

    def _texts(self, path: KeyPath, where: dict[str, Any]) -> tuple[str, ...]:
        value = where.get(str(path[-1]))
        values = [value] if isinstance(value, str) else [] if value is None else value
        if not isinstance(values, list) or not all(isinstance(each, str) and each for each in values):
            self._refuse(path, f"{path[-1]} must be text or a list of texts, got {shown(value)}")
            return ()
        return tuple(values)

    def _flag(self, path: KeyPath, where: dict[str, Any], default: bool) -> bool:
        value = where.get(str(path[-1]))
        if value is not None and not isinstance(value, bool):
            self._refuse(path, f"{path[-1]} must be true or false, got {shown(value)}")
        return default if value is None else bool(value)

    def _number(self, path: KeyPath, where: dict[str, Any], whole: bool, least: int | None) -> Any:
        value = where[str(path[-1])]
        kinds = int if whole else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or not (0 < value < math.inf if least is None else value >= least):
            kind = "a whole number" if whole else "a number"
            bound = "above 0" if least is None else f"of at least {least}"
            self._refuse(path, f"{path[-1]} must be {kind} {bound}, got {shown(value)}")
        return value

    def _refuse_reserved(self, path: KeyPath, names: Any) -> None:
        for name in names:
            if name in RESERVED:
                self._refuse(path, f"{name!r} is a field that passages use themselves; take another name")

    def _refuse(self, path: KeyPath, message: str) -> None:
        self._problems.append(self._definition.problem(path, message))
