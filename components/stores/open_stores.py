"""The stores that are open in this process: one core a folder."""

import atexit
import os
import threading
from pathlib import Path

from haystack import logging

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.core import StoreCore
from lodestone.components.stores.settings import StoreSettings

logger = logging.getLogger(__name__)

_cores: dict[Path, StoreCore] = {}
_inherited: list[StoreCore] = []  # of the parent process: SQLite forbids even to close them after a fork
_cores_lock = threading.Lock()


def core_of(folder: Path, settings: StoreSettings) -> StoreCore:
    """The one core of a folder in this process.

    :param folder: Real path of the store's folder.
    :param settings: What the store is created with, and must have been created with.
    :raises ConfigurationError: If the folder is in use in this process with other settings.
    """
    with _cores_lock:
        core = _cores.get(folder)
        if core is None or (not core.is_open and core.settings != settings):
            core = _cores[folder] = StoreCore(folder, settings)
    if settings.embedding_dim is not None and settings.embedding_dim != core.settings.embedding_dim:
        with core.reading() as database:
            if database is not None:
                settings.check(database)
    for key in ("similarity", "language", "index_type", "target_recall", "device"):
        used, wanted = getattr(core.settings, key), getattr(settings, key)
        if used != wanted:
            raise ConfigurationError(
                f"{folder} is in use in this process with {key} {used!r}, not {wanted!r}: use one {key} for a folder"
            )
    return core


@atexit.register
def _close_all() -> None:
    for core in list(_cores.values()):
        try:
            core.close()
        except Exception as error:  # the process ends; everything that was acknowledged is in the database
            logger.warning("{folder} was not closed well: {error}", folder=str(core.folder), error=str(error))


def _forget_inherited() -> None:
    global _cores_lock
    _cores_lock = threading.Lock()
    _inherited.extend(_cores.values())
    _cores.clear()


os.register_at_fork(after_in_child=_forget_inherited)
