"""Building an index anew while the old one serves, and putting it in its place."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.indexing.job_records import JobRecords
from lodestone.indexing.replacing import scope_of, without_scope
from lodestone.indexing.report import Report
from lodestone.indexing.sources import Source, find_scopes

KEPT = 1


def check_swap(store: Any, sources: Sequence[Source]) -> None:
    """Refuse to build an index anew that could not take the old one's place.

    :param store: The store that serves.
    :param sources: What is to be indexed.
    :raises ConfigurationError: If the store cannot swap, or holds folders, files or passages that are not among the
        sources.
    """
    if not hasattr(store, "swap"):
        raise ConfigurationError(
            f"--swap needs a pipeline that writes to an ElasticsearchStore, this writes to a {type(store).__name__}, "
            "which replaces changed files in place"
        )
    roots = store.roots()
    scopes = find_scopes(list(sources), roots)
    wanted = {scope.root for scope in scopes}
    if missing := {name: path for name, path in roots.items() if name not in wanted}:
        listed = ", ".join(f"{name} ({path})" for name, path in missing.items())
        raise ConfigurationError(f"the new index would lack folders that {store.path} holds: name them too: {listed}")
    if (left_out := without_scope(store.sources(), scopes)).number:
        raise ConfigurationError(
            f"the new index would lack {left_out.number:,} files that {store.path} holds and that are not named, or "
            f"are left out by patterns: {left_out}. Name the folders that were indexed, with all of their files, or "
            "take these files out of the index first with `lodestone delete`"
        )
    foreign = sum(
        passages
        for root, path, passages in store.unlisted()
        if root is None or path is None or scope_of((root, path), scopes) is None
    )
    if foreign:
        raise ConfigurationError(
            f"the new index would lack {foreign:,} passages that {store.path} holds and that `lodestone index` did not "
            "write. To keep them, leave this index as it is, or copy it to another (`lodestone store export`, "
            "`import`); then delete them here, such as by delete_by_filter with meta.root == None, or build the new "
            "index under another name"
        )


def name_while_building(store: Any) -> str:
    """The name that an index has while it is built to take the place of another.

    :param store: The other.
    """
    # Not above: it would load Elasticsearch's client for folders, too.
    from lodestone.components.stores.elasticsearch.generations import NEXT

    return f"{store.index}{NEXT}"


def refuse_name(store: Any) -> None:
    """Refuse an index whose name is that of one that is being built.

    :param store: The index.
    :raises ConfigurationError: If it is.
    """
    if not hasattr(store, "swap"):
        return
    from lodestone.components.stores.elasticsearch.generations import NEXT

    if store.index.endswith(NEXT):
        raise ConfigurationError(
            f"{store.path}: a name that ends in {NEXT} is for the index that --swap builds: name another; what is in "
            "it moves there by `lodestone store export` and `import`"
        )


def refuse_beside(store: Any, swap: bool = False) -> None:
    """Refuse to write to an index while a new one is built that is to take its place: what is written would be lost.

    :param store: The index.
    :param swap: Whether a new one is to be built: then nobody may write to this one, either.
    :raises ConfigurationError: If a job does so.
    """
    if not hasattr(store, "swap") or not store.exists():
        return
    for record in JobRecords(store).all():
        if not record.is_running or not (swap or record.swap):
            continue
        job = f"job {record.id} (process {record.pid} on {record.host})"
        what = (
            f"{job} is building a new index that is to take the place of {store.path}, and what is written meanwhile "
            "would be lost"
            if record.swap
            else f"{job} is writing to {store.path}, and the new index would lack what it writes"
        )
        raise ConfigurationError(
            f"{what}: wait until it ends, or stop it: lodestone jobs cancel {record.id}, with the same --pipeline and "
            "--index"
        )


@contextlib.contextmanager
def serving_on(store: Any) -> Iterator[None]:
    """Say of an error that the index which serves was not touched by it, or that another has taken its place.

    :param store: The store that serves.
    """
    before = _serving(store)
    try:
        yield
    except LodestoneError as error:
        now = before
        with contextlib.suppress(LodestoneError):  # what went wrong before is what matters
            now = _serving(store)
        if now != before:
            raise LodestoneError(
                f"{now} serves behind {store.path} now, and not {before or 'none'} any more: another run has put it "
                f"there, and what this one built is in it, or gone ({error}). Run the same command again to be "
                "sure that all is in it"
            ) from error
        raise LodestoneError(f"{error}\n{_on_as_it_was(store)}") from error


def _serving(store: Any) -> str | None:
    """The name of the index that serves; None if there is none."""
    return next((one.name for one in store.generations() if one.state == "serving"), None)


def swap(store: Any, report: Report) -> None:
    """Put the index that was built in the place of the one that serves, unless something would be lost by it.

    :param store: The store that serves.
    :param report: Of the job that built the other; a warning says that the old index serves on, if it does.
    """
    if report.stopped:
        report.warnings.append(f"the new index is not complete; {_on_as_it_was(store)}")
    elif report.incomplete:
        report.warnings.append(_on_as_it_was(store))
    else:
        store.swap(KEPT)


def _on_as_it_was(store: Any) -> str:
    return f"{store.path} serves on as it was; run the same command again to go on where this stopped"
