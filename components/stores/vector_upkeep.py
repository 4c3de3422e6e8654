"""Builds a store's saved vector index in the background."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from haystack import logging

from lodestone.components.stores.database import Database
from lodestone.components.stores.index_types import threads
from lodestone.components.stores.saved_vectors import AboutVectors
from lodestone.components.stores.vector_builder import VectorBuilder

logger = logging.getLogger(__name__)


class VectorUpkeep:
    """One thread that builds, if any."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether something is being built."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, path: Path, builder: VectorBuilder, install: Callable[[VectorBuilder, AboutVectors], None]) -> None:
        """Begin to build.

        :param path: The database, which is read over a connection of its own.
        :param builder: What to build.
        :param install: Called in the thread with what was built.
        """
        self._thread = threading.Thread(
            target=self._run, args=(path, builder, install), name="lodestone-vectors", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is being built. A lock that `install` takes must not be held."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @staticmethod
    def _run(path: Path, builder: VectorBuilder, install: Callable[[VectorBuilder, AboutVectors], None]) -> None:
        try:
            database = Database(path)
            try:
                with threads(max(1, (os.cpu_count() or 1) // 2)):  # others search meanwhile
                    built = builder.build(database)
            finally:
                database.close()
            if built is not None:
                install(builder, built)
        except Exception as error:  # searching goes on with what there is, and the next search or save tries again
            logger.warning("the vector index of {path} was not made: {error}", path=str(path), error=str(error))
        finally:
            builder.discard()
