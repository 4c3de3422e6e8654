"""How passages and the ledger are indexed."""

from dataclasses import dataclass
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.elasticsearch.values import KINDS
from lodestone.components.stores.settings import SIMILARITIES

FORMAT = 2
# Elasticsearch's analyzers by language; "standard" neither stems nor leaves out words.
_LANGUAGES = (
    *("arabic", "armenian", "basque", "bengali", "brazilian", "bulgarian", "catalan", "cjk", "czech", "danish"),
    *("dutch", "english", "estonian", "finnish", "french", "galician", "german", "greek", "hindi", "hungarian"),
    *("indonesian", "irish", "italian", "latvian", "lithuanian", "norwegian", "persian", "portuguese", "romanian"),
    *("russian", "serbian", "sorani", "spanish", "swedish", "thai", "turkish"),
)
# Its "dot_product" is for vectors of length 1 only.
_SIMILARITY = {"cosine": "cosine", "dot_product": "max_inner_product"}


@dataclass(frozen=True)
class IndexSettings:
    """What an index is created with.

    :param similarity: "cosine" or "dot_product".
    :param language: Language whose analyzer stems the words, or "none".
    :param embedding_dim: Length of the vectors; None for that of the first one written.
    :param max_fields: The most metadata fields that are indexed.
    :param shards: Primary shards; None for the cluster's default.
    :param replicas: Copies of each; None for the cluster's default.
    :raises ConfigurationError: If a value is not among the valid ones.
    """

    similarity: str
    language: str
    embedding_dim: int | None
    max_fields: int
    shards: int | None
    replicas: int | None

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise ConfigurationError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {self.similarity!r}")
        if self.language not in (*_LANGUAGES, "none"):
            raise ConfigurationError(f"language must be one of {', '.join(_LANGUAGES)}, none, got {self.language!r}")
        for name, least in (("embedding_dim", 1), ("max_fields", 1), ("shards", 1), ("replicas", 0)):
            value = getattr(self, name)
            if value is None and name != "max_fields":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name} must be at least {least}, got {value!r}")

    def index_settings(self) -> dict[str, Any]:
        """Settings of the index of passages."""
        settings: dict[str, Any] = {
            "mapping.total_fields.limit": self.max_fields + _OWN_FIELDS,
            # What is beyond the limit is stored and not indexed; the document is not refused.
            "mapping.total_fields.ignore_dynamic_beyond_limit": True,
            "mapping.ignore_malformed": True,
            # Each refresh makes a segment with a graph of its own. Whoever writes refreshes when the writing is done.
            "refresh_interval": "30s",
        }
        return settings | self.copies()

    def copies(self) -> dict[str, Any]:
        """Shards and replicas, where they were set."""
        wanted = {"number_of_shards": self.shards, "number_of_replicas": self.replicas}
        return {name: value for name, value in wanted.items() if value is not None}

    def mappings(self, dim: int | None) -> dict[str, Any]:
        """Mapping of the index of passages.

        :param dim: Length of the vectors; None if there are none yet.
        """
        analyzer = "standard" if self.language == "none" else self.language
        kinds = {kind: {"type": "object", "dynamic": True, "subobjects": False} for kind in KINDS}
        return {
            # Only metadata has fields that nobody could list beforehand.
            "dynamic": "strict",
            "date_detection": False,
            "dynamic_templates": [
                {kind: {"path_match": f"{kind}.*", "mapping": mapping}} for kind, mapping in _BY_KIND.items()
            ],
            "_meta": {"lodestone": {"format": FORMAT, "similarity": self.similarity, "language": self.language}},
            "properties": {
                "content": {"type": "text", "index": False, "copy_to": "text"},
                # What BM25 searches: headings and content together, as what is embedded, and headings once more.
                "headings": {"type": "text", "analyzer": analyzer, "copy_to": "text"},
                "text": {"type": "text", "analyzer": analyzer},
                "meta": {"type": "object", "enabled": False},
                "extra": {"type": "object", "enabled": False},
                "fields": {"type": "keyword"},
                **kinds,
                **({} if dim is None else {"embedding": self.vectors(dim)}),
            },
        }

    def vectors(self, dim: int) -> dict[str, Any]:
        """Mapping of the vectors: HNSW over int8, beside the vectors as they were given."""
        return {
            "type": "dense_vector",
            "dims": dim,
            "index": True,
            "similarity": _SIMILARITY[self.similarity],
            "index_options": {"type": "int8_hnsw"},
        }

    def check(self, mapping: dict[str, Any], shown: str) -> int | None:
        """Refuse an index that was made with other settings, or by something else.

        :param mapping: The index's mapping.
        :param shown: What messages call the index.
        :returns: Length of its vectors; None if it has none yet.
        :raises ConfigurationError: If it cannot be used.
        """
        made = mapping.get("_meta", {}).get("lodestone")
        if made is None:
            raise ConfigurationError(
                f"{shown} was not made by Lodestone (its mapping is another): name another index, or delete that one"
            )
        if made["format"] != FORMAT:
            raise ConfigurationError(f"{shown} has format {made['format']}, this version reads {FORMAT}: index anew")
        for name in ("similarity", "language"):
            wanted = getattr(self, name)
            if made[name] != wanted:
                raise ConfigurationError(
                    f"{shown} was created with {name} {made[name]!r}, not {wanted!r}: open it with {name} "
                    f"{made[name]!r}, or index into another index"
                )
        dim = mapping["properties"].get("embedding", {}).get("dims")
        if dim is not None and self.embedding_dim not in (None, dim):
            raise ConfigurationError(
                f"{shown} was created with embedding_dim {dim}, not {self.embedding_dim}: index into another index"
            )
        return None if dim is None else int(dim)


_BY_KIND: dict[str, dict[str, Any]] = {
    "keyword": {"type": "keyword"},
    "number": {"type": "double"},
    "date": {"type": "date", "format": "strict_date_optional_time"},
    "other": {"type": "keyword"},
}
_OWN_FIELDS = 16

LEDGER_MAPPINGS: dict[str, Any] = {
    "dynamic": False,
    "_meta": {"lodestone": {"format": FORMAT}},
    "properties": {
        "kind": {"type": "keyword"},
        "root": {"type": "keyword"},
        "path": {"type": "keyword"},
        "state": {"type": "keyword"},
        "indexed_at": {"type": "double"},
        "seconds": {"type": "double"},
        "identity": {"type": "keyword"},
        "source_id": {"type": "keyword"},
    },
}
