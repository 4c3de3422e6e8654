"""What makes one store differ from another, fixed when it is created."""

from dataclasses import dataclass, replace
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.database import Database
from lodestone.components.stores.index_types import AUTO, INDEX_TYPES
from lodestone.components.stores.words import LANGUAGES

SIMILARITIES = ("cosine", "dot_product")
DEVICES = ("cpu", "gpu")
INDEX_TYPE = "index_type"  # the property of a database that says what was set in the folder


@dataclass(frozen=True)
class StoreSettings:
    """Settings of a store.

    :param similarity: "cosine" or "dot_product".
    :param language: A language that tantivy can stem, or "none".
    :param embedding_dim: Length of the vectors; None for that of the first one written.
    :param index_type: How vectors are searched: "flat", "hnsw", "ivf"; "auto" for what was set in the folder, or else
        by the number of vectors.
    :param target_recall: Recall@10 that a vector index is to reach, over 0 and at most 1.
    :param device: Where vectors are searched: "cpu", or "gpu".
    :raises ConfigurationError: If a value is not among the valid ones.
    """

    similarity: str
    language: str
    embedding_dim: int | None
    index_type: str = AUTO
    target_recall: float = 0.98
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise ConfigurationError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {self.similarity!r}")
        if self.language not in LANGUAGES and self.language != "none":
            valid = ", ".join([*LANGUAGES, "none"])
            raise ConfigurationError(f"language must be one of {valid}, got {self.language!r}")
        dim = self.embedding_dim
        if dim is not None and (not isinstance(dim, int) or isinstance(dim, bool) or dim < 1):
            raise ConfigurationError(f"embedding_dim must be at least 1, or None, got {dim!r}")
        check_index_type(self.index_type)
        recall = self.target_recall
        if not isinstance(recall, int | float) or isinstance(recall, bool) or not 0 < recall <= 1:
            raise ConfigurationError(f"target_recall must be over 0 and at most 1, got {recall!r}")
        if self.device not in DEVICES:
            raise ConfigurationError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")

    def properties(self) -> dict[str, str]:
        """The settings as the database stores them."""
        properties = {"similarity": self.similarity, "language": self.language}
        if self.embedding_dim is not None:
            properties["embedding_dim"] = str(self.embedding_dim)
        return properties

    def index_type_of(self, database: Database) -> str:
        """The index type asked for: by these settings, or else by what was set in the folder.

        :param database: An open database with its tables.
        """
        return self.index_type if self.index_type != AUTO else database.get_property(INDEX_TYPE) or AUTO

    def check(self, database: Database) -> None:
        """Refuse a database that was made with other settings.

        :param database: An open database with its tables.
        :raises ConfigurationError: If a setting differs.
        """
        for key, wanted in self.properties().items():
            stored = database.get_property(key)
            if stored is not None and stored != wanted:
                raise ConfigurationError(
                    f"{database.path.parent} was created with {key} {stored!r}, not {wanted!r}: "
                    f"open it with {key} {stored!r}, or index into another folder"
                )

    def check_dims(self, ids_by_dim: dict[int, str]) -> None:
        """Refuse vectors of different lengths, or of another one than was asked for.

        :param ids_by_dim: The lengths that are to be written, with the id of a document for each.
        :raises ConfigurationError: If they do not agree.
        """
        expected = self.embedding_dim
        for dim, identifier in ids_by_dim.items():
            if expected is None:
                expected = dim
            if dim != expected:
                raise ConfigurationError(
                    f"document {identifier!r} has an embedding of {dim} dimensions, expected {expected}; "
                    "nothing was written. Use one embedding model for a store"
                )

    def adopt_dim(self, database: Database, ids_by_dim: dict[int, str]) -> None:
        """Make the length of the first vector the store's, and refuse any other.

        :param database: Its transaction must be open.
        :param ids_by_dim: The one length that is to be written, with a document's id, or nothing.
        :raises ConfigurationError: If it is not the store's.
        """
        self.check(database)
        stored = database.get_property("embedding_dim")
        if stored is None and ids_by_dim:
            database.set_property("embedding_dim", str(next(iter(ids_by_dim))))
        elif stored is not None:
            replace(self, embedding_dim=int(stored)).check_dims(ids_by_dim)


def check_at_least_one(name: str, value: Any) -> int:
    """Refuse a count below 1.

    :param name: The parameter's name.
    :param value: Its value.
    :raises ConfigurationError: If it is no integer of at least 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be at least 1, got {value!r}")
    return value


def check_index_type(index_type: str) -> None:
    """Refuse what is no index type.

    :raises ConfigurationError: If it is none.
    """
    valid = (AUTO, *INDEX_TYPES)
    if index_type not in valid:
        raise ConfigurationError(f"index_type must be one of {', '.join(valid)}, got {index_type!r}")
