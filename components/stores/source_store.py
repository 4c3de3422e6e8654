"""What batch indexing needs of a document store."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from haystack import Document

from lodestone.components.stores.records import SourceRecord, SourceText


@runtime_checkable
class SourceStore(Protocol):
    """A document store with a ledger of the files that were indexed into it.

    What the methods do is said by `FaissDocumentStore` and `ElasticsearchStore`.
    """

    @property
    def path(self) -> str:
        """Where the index is, for messages: a folder, or a URL."""

    def exists(self) -> bool:
        """Whether there is an index."""

    def count_documents(self) -> int:
        """How many passages there are."""

    def write_sources(
        self, sources: Sequence[tuple[SourceRecord, list[SourceText], list[Document]]]
    ) -> dict[tuple[str, str], str] | None:
        """Replace all that the store has of some files; root and path of those that it cannot hold, and why."""

    def touch_sources(self, records: Iterable[SourceRecord]) -> None:
        """Update ledger rows only."""

    def delete_sources(self, sources: Sequence[tuple[str, str]]) -> int:
        """Delete files, named by root and path, with their passages; how many these were."""

    def sources(self, root: str | None = None, prefix: str = "") -> Iterator[SourceRecord]:
        """The files of the ledger, by root and path."""

    def source(self, root: str, path: str) -> SourceRecord | None:
        """One file of the ledger."""

    def copies(self, root: str, path: str) -> list[tuple[str, str]]:
        """Root and path of the other files with the same identity."""

    def source_text(self, source_id: str) -> str | None:
        """The converted text of a document."""

    def roots(self) -> dict[str, str]:
        """Names of the folders that were indexed, with their absolute paths."""

    def set_root(self, name: str, absolute_path: str) -> None:
        """Remember where a root is."""

    def forget_root(self, name: str) -> None:
        """Forget where a root is."""

    def get_setting(self, key: str) -> str | None:
        """A free setting."""

    def set_setting(self, key: str, value: str) -> None:
        """Store a free setting."""

    def settings(self, prefix: str) -> dict[str, str]:
        """The free settings whose keys start so, by key."""

    def forget_setting(self, key: str) -> None:
        """Forget a free setting, if there is one."""

    def statistics(self) -> dict[str, Any]:
        """What the store holds, in numbers."""

    def save(self) -> None:
        """Make what was written quick to open and visible to searches."""

    def close(self) -> None:
        """Save, and let go of what is open."""
