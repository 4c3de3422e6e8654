"""Building an index anew while the old one serves, and putting it in its place."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.indexing.report import Report
from lodestone.indexing.sources import Source, find_scopes

KEPT = 1


def check_swap(store: Any, sources: Sequence[Source]) -> None:
    """Refuse to build an index anew that could not take the old one's place.

    :param store: The store that serves.
    :param sources: What is to be indexed.
    :raises ConfigurationError: If the store cannot swap, or holds folders that are not among the sources.
    """
    if not hasattr(store, "swap"):
        raise ConfigurationError(
            f"--swap needs a pipeline that writes to an ElasticsearchStore, this writes to a {type(store).__name__}, "
            "which replaces changed files in place"
        )
    roots = store.roots()
    wanted = {scope.root for scope in find_scopes(list(sources), roots)}
    if missing := {name: path for name, path in roots.items() if name not in wanted}:
        listed = ", ".join(f"{name} ({path})" for name, path in missing.items())
        raise ConfigurationError(f"the new index would lack folders that {store.path} holds: name them too: {listed}")


@contextlib.contextmanager
def serving_on(store: Any) -> Iterator[None]:
    """Say of an error that the index which serves was not touched by it.

    :param store: The store that serves.
    """
    try:
        yield
    except LodestoneError as error:
        raise LodestoneError(f"{error}\n{_on_as_it_was(store)}") from error


def swap(store: Any, built: Any, report: Report) -> None:
    """Put the index that was built in the place of the one that serves, unless files would be lost by it.

    :param store: The store that serves.
    :param built: The store that was built.
    :param report: Of the job that built it; a warning says why the old index serves on.
    """
    if (problem := _problem(store, built, report)) is None:
        store.swap(KEPT)
        return
    report.incomplete = True
    report.warnings.append(f"{problem}; {_on_as_it_was(store)}")


def _problem(store: Any, built: Any, report: Report) -> str | None:
    if report.stopped:
        return "the new index is not complete"
    failed = {(record.root, record.path) for record in built.sources() if record.state == "failed"}
    lost = sorted(
        f"{record.root}/{record.path}"
        for record in store.sources()
        if record.state != "failed" and (record.root, record.path) in failed
    )
    if lost:
        return f"the new index lacks {len(lost)} files that the old one holds, as they failed ({', '.join(lost[:3])})"
    unread = len(report.failed) - len(failed)
    return f"the new index lacks {unread} files that could not be read" if unread > 0 else None


def _on_as_it_was(store: Any) -> str:
    return f"{store.path} serves on as it was; run the same command again to go on where this stopped"
