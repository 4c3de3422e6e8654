"""Builds a store's saved vector index in the background."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from haystack import logging

from lodestone.components.stores.database import Database
from lodestone.components.stores.index_types import threads
from lodestone.components.stores.pause import Pause
from lodestone.components.stores.saved_vectors import AboutVectors
from lodestone.components.stores.vector_builder import VectorBuilder

logger = logging.getLogger(__name__)


class VectorUpkeep:
    """One thread that builds, if any.

    :param path: The database, which is read over a connection of its own.
    :param pause: What building waits for before it begins.
    """

    def __init__(self, path: Path, pause: Pause) -> None:
        self._path = path
        self._pause = pause
        self._thread: threading.Thread | None = None
        self._given_up = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether something is being built, or about to be."""
        return self._thread is not None and self._thread.is_alive()

    def start(
        self, plan: Callable[[], VectorBuilder | None], install: Callable[[VectorBuilder, AboutVectors], None]
    ) -> None:
        """Build at the next pause in writing.

        :param plan: Called in the thread to know what to build; None for nothing.
        :param install: Called in the thread with what was built.
        """
        self._given_up.clear()
        self._thread = threading.Thread(target=self._run, args=(plan, install), name="lodestone-vectors", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until what is being built is installed; what has not begun is given up.

        A lock that `plan` or `install` takes must not be held.
        """
        thread = self._thread
        if thread is not None:
            self._given_up.set()
            thread.join()

    def _run(
        self, plan: Callable[[], VectorBuilder | None], install: Callable[[VectorBuilder, AboutVectors], None]
    ) -> None:
        try:
            builder = plan() if self._pause.wait(self._given_up) else None
            if builder is not None:
                self._build(builder, install)
        except Exception as error:  # searching goes on with what there is, and the next write or save tries again
            logger.warning("the vector index of {path} was not made: {error}", path=str(self._path), error=str(error))

    def _build(self, builder: VectorBuilder, install: Callable[[VectorBuilder, AboutVectors], None]) -> None:
        try:
            database = Database(self._path)
            try:
                with threads(max(1, (os.cpu_count() or 1) // 2)):  # others search meanwhile
                    built = builder.build(database)
            finally:
                database.close()
            install(builder, built)
        finally:
            builder.discard()
