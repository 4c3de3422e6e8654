"""What a job tells while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lodestone.indexing.sources import SourceFile


@dataclass(frozen=True)
class FileDone:
    """A file that a job is done with.

    :param path: Its path as the user would type it.
    :param state: "indexed", "duplicate" (a copy of another), "unchanged", "failed" or "skipped".
    :param size: Bytes.
    :param passages: Passages written.
    :param seconds: Time that converting it took.
    :param reason: Why it was not indexed; "" if it was.
    :param unread: Root and path, if it failed and the ledger does not say so; else None.
    """

    path: str
    state: str
    size: int = 0
    passages: int = 0
    seconds: float = 0.0
    reason: str = ""
    unread: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The file as plain values, for JSON."""
        values = {
            "path": self.path,
            "state": self.state,
            "passages": self.passages,
            "seconds": round(self.seconds, 3),
        }
        return {**values, "reason": self.reason} if self.reason else values


class Progress:
    """Whom a job tells what it does. What is not overridden is not listened to.

    Each file is converted, handed to be written in a batch, and done, in this order. Several threads tell, also at the
    same time.
    """

    def start(self, files: int, size: int, left_out: Sequence[FileDone]) -> None:
        """All has been looked for.

        :param files: Files that are to be read; rows of tables are counted as they come.
        :param size: Their bytes.
        :param left_out: What was found and is not read: it cannot be, or is not followed.
        """

    def converting(self, path: str, seconds: float) -> None:
        """Of the files that are being converted, this one has been the longest. Told a few times a second.

        :param path: Its path as the user would type it.
        :param seconds: For how long.
        """

    def converted(self, source: SourceFile) -> None:
        """A file waits to be embedded, or there is nothing in it that could be.

        :param source: The file.
        """

    def embedding(self, files: Sequence[tuple[SourceFile, int]]) -> None:
        """A batch is about to be embedded.

        :param files: Its files and how many passages each has.
        """

    def embedded(self, passages: int) -> None:
        """More passages are embedded.

        :param passages: How many.
        """

    def writing(self, files: int) -> None:
        """A batch waits to be written.

        :param files: How many files it has.
        """

    def done(self, file: FileDone) -> None:
        """A file is finished.

        :param file: The file, and what became of it.
        """
