"""What a job leaves to an executor: converting, embedding and writing what is new or changed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from lodestone.indexing.conversion import Rules, Task
from lodestone.indexing.progress import Progress
from lodestone.indexing.settings import Settings
from lodestone.indexing.writing import BatchWriter
from lodestone.pipelines.stages import IndexingStages


@dataclass(frozen=True)
class Work:
    """What is to be done.

    :param tasks: The documents to convert; to be read by one thread, as they are needed.
    :param stages: The pipeline that makes passages of them and embeds these.
    :param rules: How documents are converted, besides.
    :param settings: Workers and batches.
    :param writer: Writes what is embedded; to be called by one thread at a time.
    :param stop: Set when the job is to end: what is being embedded or written is finished, the rest is left.
    :param progress: Told how far the documents are; `writer` tells it of those that are done.
    """

    tasks: Iterator[Task]
    stages: IndexingStages
    rules: Rules
    settings: Settings
    writer: BatchWriter
    stop: threading.Event
    progress: Progress = field(default_factory=Progress)


class Executor(Protocol):
    """Does the work of a job."""

    @property
    def is_local(self) -> bool:
        """Whether documents are read on this machine only, so that they may be where no other sees them."""

    def run(self, work: Work) -> None:
        """Convert, embed and write every document, or as many as there are until the job is stopped.

        :param work: What is to be done.
        :raises LodestoneError: If it cannot be done; a document that cannot be converted is no such case.
        """

    def close(self) -> None:
        """Let go of processes that were started, also when nothing was run."""
