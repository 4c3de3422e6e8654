"""The part of a store that tells which metadata there is."""

import json
from typing import Any

from lodestone.components.asynchronous import in_thread
from lodestone.components.stores.database import Database
from lodestone.components.stores.fields import stored_field
from lodestone.components.stores.ledger_store import LedgerStore
from lodestone.components.stores.unique_values import page_of

_TYPES = {"text": "keyword", "integer": "int", "real": "float", "true": "boolean", "false": "boolean"}


class MetadataStore(LedgerStore):
    """What is known of the passages' metadata. Fields may be named with or without `meta.` in front."""

    def index_metadata(self, metadata_fields: list[str]) -> None:
        """Make indexes on fields, so that filters on them need not read the metadata of every document.

        In stores of 20,000 to 2,000,000 documents, fields that are filtered often get one by themselves, when a filter
        is used in a process that may write while no other does.

        :param metadata_fields: Names of fields; one that has an index keeps it.
        :raises ConfigurationError: If a name has quotes, backslashes or control characters.
        :raises LodestoneError: If another process is writing.
        """
        with self._core.writing() as database:
            for name in (field.removeprefix("meta.") for field in metadata_fields):
                kinds = ["value", "clock"] if database.metadata_indexes.holds_dates(name) else ["value"]
                database.metadata_indexes.create([(name, kind) for kind in kinds])

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """How many different values fields have.

        :param filters: Haystack filters; {} for all documents.
        :param metadata_fields: Names of fields.
        :returns: The number for each field, by its name without `meta.`; None is no value.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        with self._core.reading() as database:
            names = [field.removeprefix("meta.") for field in metadata_fields]
            return {name: 0 if database is None else len(_values(database, name, filters)) for name in names}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The fields that documents have.

        :returns: For each field {"type": ...}: "keyword" for text and all that is not of one type, "int", "float" (also
            for int and float together) or "boolean". A field that is None everywhere is left out.
        """
        sql = "SELECT DISTINCT json_each.key, json_each.type FROM passages, json_each(meta) WHERE type <> 'null'"
        types: dict[str, set[str]] = {}
        with self._core.reading() as database:
            for key, kind in [] if database is None else database.execute(sql):
                types.setdefault(key, set()).add(_TYPES.get(kind, "keyword"))
        return {key: {"type": _common(found)} for key, found in sorted(types.items())}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """The least and the greatest value of a field.

        :param metadata_field: Its name.
        :returns: {"min": ..., "max": ...}; both None if it has no numbers and no texts, or both.
        """
        with self._core.reading() as database:
            values = [] if database is None else _values(database, metadata_field.removeprefix("meta."), None)
        comparable = [value for value in values if isinstance(value, int | float | str)]
        try:
            return {"min": min(comparable, default=None), "max": max(comparable, default=None)}
        except TypeError:
            return {"min": None, "max": None}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """The different values of a field, by pages.

        :param metadata_field: Its name.
        :param search_term: Only values whose text has this in it, in upper or lower case; None for all.
        :param from_: How many values to leave out at the start.
        :param size: How many values at most.
        :param filters: Haystack filters; None or {} for all documents.
        :returns: Values in the order of their text, and how many there are altogether. 1, 1.0, True and "1" are four.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        with self._core.reading() as database:
            values = [] if database is None else _values(database, metadata_field.removeprefix("meta."), filters)
        return page_of(values, search_term, from_, size)

    index_metadata_async = in_thread(index_metadata)
    count_unique_metadata_by_filter_async = in_thread(count_unique_metadata_by_filter)
    get_metadata_fields_info_async = in_thread(get_metadata_fields_info)
    get_metadata_field_min_max_async = in_thread(get_metadata_field_min_max)
    get_metadata_field_unique_values_async = in_thread(get_metadata_field_unique_values)


def _values(database: Database, name: str, filters: dict[str, Any] | None) -> list[Any]:
    """The different values of a field, without None."""
    field = stored_field(f"meta.{name}")
    compiled = database.metadata_indexes.compile(filters)
    sql = f"SELECT DISTINCT {field.raw} FROM passages WHERE {compiled.sql}"
    values = [field.decode(raw) for (raw,) in database.execute(sql, compiled.parameters, compiled)]
    # 1, 1.0 and True are equal in Python, and lists cannot be keys of a dictionary: their JSON tells them apart.
    return list({json.dumps(value, sort_keys=True): value for value in values if value is not None}.values())


def _common(types: set[str]) -> str:
    if len(types) == 1:
        return next(iter(types))
    return "float" if types == {"int", "float"} else "keyword"
