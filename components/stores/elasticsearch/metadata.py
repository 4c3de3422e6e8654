"""The part of the store that tells which metadata there is."""

import json
from collections.abc import Iterator
from typing import Any

from lodestone.components.asynchronous import in_thread
from lodestone.components.stores.elasticsearch.filters import ALL, Query, to_query
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.problems import explained
from lodestone.components.stores.elasticsearch.values import field_name
from lodestone.components.stores.unique_values import page_of

_PAGE = 1000
# The first kind that a field's values are indexed as says its type.
_TYPES = {"date": "date", "keyword": "keyword", "number": "double", "other": "keyword"}


class MetadataIndex:
    """What is known of the passages' metadata. Fields may be named with or without `meta.` in front."""

    _passages: PassageIndex

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """How many different values fields have.

        :param filters: Haystack filters; {} for all documents.
        :param metadata_fields: Names of fields.
        :returns: The number for each field, by its name without `meta.`; None is no value.
        :raises FilterError: If the filter is malformed.
        """
        names = [field.removeprefix("meta.") for field in metadata_fields]
        return {name: len(self._values(name, filters)) for name in names}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The fields that documents have.

        :returns: For each field, also those within dictionaries, by its name (`a.b`), {"type": ...}: "date" if there
            are ISO 8601 dates among its values, else "keyword" if there are texts, "double" if there are numbers, and
            "keyword" for all else. A field that is None everywhere is left out.
        """
        if not self._passages.exists():
            return {}
        with explained(self._passages.shown):
            found = self._passages.client.indices.get_mapping(index=self._passages.name).body
        properties = next(iter(found.values()))["mappings"]["properties"]
        known = {kind: properties[kind].get("properties", {}) for kind in _TYPES}
        names = sorted(self._terms("fields", ALL))
        return {name: {"type": _type_of(field_name(name), known)} for name in names}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """The least and the greatest value of a field.

        :param metadata_field: Its name.
        :returns: {"min": ..., "max": ...}; both None if it has no numbers and no texts, or both.
        """
        name = metadata_field.removeprefix("meta.")
        values = [value for value in self._values(name, None) if isinstance(value, int | float | str)]
        try:
            return {"min": min(values, default=None), "max": max(values, default=None)}
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
            Texts of more than 1000 characters are given by their hash.
        :raises FilterError: If the filter is malformed.
        """
        values = self._values(metadata_field.removeprefix("meta."), filters)
        return page_of(values, search_term, from_, size)

    def _values(self, name: str, filters: dict[str, Any] | None) -> list[Any]:
        """The different values of a field, without None."""
        query = to_query(filters)
        if not self._passages.exists():
            return []
        field = field_name(name)
        other = f"other.{field}"
        # A number that a double does not tell from another value is counted by its JSON.
        numbers: Query = {"bool": {"filter": [query], "must_not": [{"exists": {"field": other}}]}}
        found: list[Any] = list(self._terms(f"keyword.{field}", query))
        found += [int(value) if value.is_integer() else value for value in self._terms(f"number.{field}", numbers)]
        found += [_from_json(value) for value in self._terms(other, query)]
        return found

    def _terms(self, field: str, query: Query) -> Iterator[Any]:
        after: dict[str, Any] | None = None
        while True:
            composite: dict[str, Any] = {"size": _PAGE, "sources": [{"value": {"terms": {"field": field}}}]}
            if after is not None:
                composite["after"] = after
            answer = self._passages.search(query=query, size=0, aggs={"values": {"composite": composite}})
            buckets = answer["aggregations"]["values"]["buckets"]
            yield from (bucket["key"]["value"] for bucket in buckets)
            after = answer["aggregations"]["values"].get("after_key")
            if len(buckets) < _PAGE:
                return

    count_unique_metadata_by_filter_async = in_thread(count_unique_metadata_by_filter)
    get_metadata_fields_info_async = in_thread(get_metadata_fields_info)
    get_metadata_field_min_max_async = in_thread(get_metadata_field_min_max)
    get_metadata_field_unique_values_async = in_thread(get_metadata_field_unique_values)


def _type_of(field: str, known: dict[str, Any]) -> str:
    return next((_TYPES[kind] for kind, fields in known.items() if field in fields), "keyword")


def _from_json(term: str) -> Any:
    try:
        return json.loads(term)
    except ValueError:
        return term  # the hash of a long one
