"""What an indexing job did, file by file."""

from dataclasses import dataclass, field
from typing import Any

from lodestone.indexing.progress import FileDone
from lodestone.indexing.reasons import ENCRYPTED, SCANNED

_SLOWEST = 10


@dataclass(frozen=True)
class FileOutcome:
    """A file that was not indexed.

    :param path: Its path as the user would type it.
    :param reason: Why, in words for the user.
    :param unread: Root and path of what could not be read, of which the ledger says nothing; a path that ends in "/"
        stands for all below it, "" for all of the root. None for other files.
    """

    path: str
    reason: str
    unread: tuple[str, str] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Copy:
    """A file with the same content, type and metadata as another.

    :param path: Its path as the user would type it.
    :param copy_of: That of the other, which has the passages; or root and path, if the job did not look after it.
    """

    path: str
    copy_of: str


@dataclass
class Report:
    """Counts of one job, and every file that it could not index.

    :param files: Files found under the roots.
    :param indexed: Files that are new or changed and were indexed.
    :param unchanged: Files that the index already held as they are.
    :param passages: Passages written.
    :param size: Bytes of the files that were read.
    :param deleted: Files that are gone and whose passages were deleted.
    :param failed: Files that should have been indexed and could not be.
    :param duplicates: Files that are new or changed and copies of others.
    :param skipped: Files that nothing in the pipeline can read, or that are not followed.
    :param slowest: Files that took longest to convert, with their seconds, the slowest first.
    :param warnings: What else the user should know.
    :param seconds: Wall-clock time.
    :param stopped: Whether the job was interrupted.
    :param incomplete: Whether something was left undone that a warning names.
    """

    files: int = 0
    indexed: int = 0
    unchanged: int = 0
    passages: int = 0
    size: int = 0
    deleted: int = 0
    failed: list[FileOutcome] = field(default_factory=list)
    duplicates: list[Copy] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    slowest: list[tuple[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    incomplete: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was done."""
        return not (self.failed or self.stopped or self.incomplete)

    @property
    def passages_per_second(self) -> float:
        """Passages written a second, from the job's start to its end."""
        return self.passages / self.seconds if self.seconds else 0.0

    @property
    def encrypted(self) -> list[FileOutcome]:
        """The files that failed for want of a password."""
        return [outcome for outcome in self.failed if outcome.reason == ENCRYPTED]

    @property
    def needs_ocr(self) -> list[FileOutcome]:
        """The files that failed because they hold pictures of text."""
        return [outcome for outcome in self.failed if outcome.reason == SCANNED]

    @property
    def other_failures(self) -> list[FileOutcome]:
        """The files that failed for any other reason."""
        return [outcome for outcome in self.failed if outcome.reason not in (ENCRYPTED, SCANNED)]

    def note(self, file: FileDone) -> None:
        """Count a file, and keep it among the slowest if it is one of them.

        :param file: The file, and what became of it.
        """
        self.size += file.size
        match file.state:
            case "indexed":
                self.indexed += 1
                self.passages += file.passages
            case "unchanged":
                self.unchanged += 1
            case "skipped":
                self.skipped.append(FileOutcome(file.path, file.reason))
            case "failed":
                self.failed.append(FileOutcome(file.path, file.reason, file.unread))
        self.slowest = sorted([*self.slowest, (file.path, file.seconds)], key=lambda entry: -entry[1])[:_SLOWEST]

    def sort(self) -> None:
        """Put the files in the order of their paths; they come in that of being finished."""
        self.failed.sort(key=lambda outcome: outcome.path)
        self.skipped.sort(key=lambda outcome: outcome.path)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return {
            "files": self.files,
            "indexed": self.indexed,
            "unchanged": self.unchanged,
            "passages": self.passages,
            "bytes": self.size,
            "deleted": self.deleted,
            "failed": [{"path": outcome.path, "reason": outcome.reason} for outcome in self.failed],
            "encrypted": [outcome.path for outcome in self.encrypted],
            "needs_ocr": [outcome.path for outcome in self.needs_ocr],
            "duplicates": [{"path": copy.path, "copy_of": copy.copy_of} for copy in self.duplicates],
            "skipped": [{"path": outcome.path, "reason": outcome.reason} for outcome in self.skipped],
            "slowest": [{"path": path, "seconds": round(seconds, 3)} for path, seconds in self.slowest],
            "warnings": self.warnings,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "complete": self.complete,
        }
