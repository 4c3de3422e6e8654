"""Writing many documents: in requests of bounded size, several at once, again where the cluster was busy."""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from elastic_transport import TransportError
from elasticsearch import ApiError
from haystack import logging

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.elasticsearch.problems import explained, read_only, reason_of
from lodestone.components.stores.encoding import clean_text

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_BUSY = (429, 502, 503, 504)
_LONGEST_WAIT = 30.0
_SEARCH_WAITS = (0.1, 0.5, 1.0)
_SHOWN = 3
_PRESSURE = re.compile(r"coordinating_operation_bytes=(\d+), max_coordinating_bytes=(\d+)")


@dataclass(frozen=True)
class Action:
    """What is to be done with one document.

    :param operation: "index" replaces a document of the same id, "create" does not.
    :param index: Name of an alias.
    :param id: The document's id.
    :param body: Its JSON; empty for "delete".
    """

    operation: Literal["index", "create", "delete"]
    index: str
    id: str
    body: bytes = b""

    def lines(self) -> bytes:
        """The action as bulk requests hold it."""
        header = {self.operation: {"_index": self.index, "_id": clean_text(self.id), "require_alias": True}}
        head = json.dumps(header, separators=(",", ":")).encode()
        return head + b"\n" + (self.body + b"\n" if self.operation != "delete" else b"")


@dataclass(frozen=True)
class BulkSettings:
    """How bulk requests are sent.

    :param max_bytes: Of a request; a document that is larger goes alone.
    :param workers: How many requests at once.
    :param retries: How often a request, or the documents of it that were not taken, are sent again.
    :param patience: Seconds that the cluster waits for a shard that is not there.
    :param first_wait: Seconds before the first retry; each next is twice as long, up to 30.
    :raises ConfigurationError: If a number is out of range.
    """

    max_bytes: int
    workers: int
    retries: int
    patience: float
    first_wait: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("max_bytes", 1), ("workers", 1), ("retries", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{_PARAMETERS[name]} must be at least {least}, got {value!r}")


_PARAMETERS = {"max_bytes": "bulk_bytes", "workers": "bulk_workers", "retries": "max_retries"}


class RefusedDocumentsError(LodestoneError):
    """Documents that Elasticsearch did not take; all others of the call were written.

    :param where: What messages call the index.
    :param reasons: Why, by document id.
    """

    def __init__(self, where: str, reasons: dict[str, str]) -> None:
        self.where = where
        self.reasons = reasons
        shown = "; ".join(f"{name!r}: {reason}" for name, reason in list(reasons.items())[:_SHOWN])
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        super().__init__(f"{where} did not take {len(reasons)} documents, all others were written: {shown}{more}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.reasons)


@dataclass
class Written:
    """What became of the actions.

    :param done: How many were carried out.
    :param conflicts: Ids of "create" that exist.
    :param refused: Why documents were not taken, by id.
    """

    done: int = 0
    conflicts: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Written") -> None:
        """Count what another request did."""
        self.done += other.done
        self.conflicts.extend(other.conflicts)
        self.refused.update(other.refused)


class BulkWriter:
    """Sends actions.

    :param client: The client.
    :param settings: How.
    :param shown: What messages call the index.
    """

    def __init__(self, client: "Elasticsearch", settings: BulkSettings, shown: str) -> None:
        self._client = client
        self._settings = settings
        self._shown = shown

    def write(self, actions: Iterable[Action]) -> Written:
        """Send actions, in any order where there are several requests.

        :param actions: At most one of a document.
        :returns: What became of them.
        :raises LodestoneError: If the cluster cannot be reached, is not able to write, or refuses to, after all
            retries. What was acknowledged until then is written.
        """
        written = Written()
        chunks = self._chunks(actions)
        first = next(chunks, None)
        if first is None:
            return written
        second = next(chunks, None)
        if second is None:
            written.add(self._send(first))
            return written
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="bulk") as pool:
            running: deque[Future[Written]] = deque(pool.submit(self._send, chunk) for chunk in (first, second))
            try:
                for chunk in chunks:
                    if len(running) > self._settings.workers:
                        written.add(running.popleft().result())
                    running.append(pool.submit(self._send, chunk))
                while running:
                    written.add(running.popleft().result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return written

    def _chunks(self, actions: Iterable[Action]) -> Iterator[list[Action]]:
        chunk: list[Action] = []
        size = 0
        for action in actions:
            length = len(action.body) + len(action.id) + 100
            if chunk and size + length > self._settings.max_bytes:
                yield chunk
                chunk, size = [], 0
            chunk.append(action)
            size += length
        if chunk:
            yield chunk

    def _send(self, chunk: Sequence[Action]) -> Written:
        written = Written()
        sent_before = False
        for attempt in range(self._settings.retries + 1):
            last = attempt == self._settings.retries
            try:
                with explained(self._shown):
                    items = self._request(chunk)
            except LodestoneError as error:
                if len(chunk) == 1 and (too_large := _too_large(error)):
                    written.refused[chunk[0].id] = too_large
                    return written
                if last or not _may_pass(error):
                    raise
                sent_before = True
                _wait(self._settings, attempt, _what(error))
                continue
            busy = self._sort(chunk, items, written, sent_before, last)
            if not busy:
                return written
            chunk = [action for action, _ in busy]
            _wait(self._settings, attempt, busy[0][1])
        return written

    def _request(self, chunk: Sequence[Action]) -> list[dict[str, Any]]:
        body = b"".join(action.lines() for action in chunk)
        answer = self._client.perform_request(
            "POST",
            "/_bulk",
            params={"timeout": f"{self._settings.patience:g}s"},
            headers={"accept": "application/json", "content-type": "application/x-ndjson"},
            body=body,
        )
        return [next(iter(item.values())) for item in answer.body["items"]]

    def _sort(
        self,
        chunk: Sequence[Action],
        items: list[dict[str, Any]],
        written: Written,
        sent_before: bool,
        last: bool,
    ) -> list[tuple[Action, str]]:
        """Count what was done; what the cluster was too busy for comes back, with the reason."""
        busy = []
        for action, item in zip(chunk, items, strict=True):
            status = item["status"]
            if status < 300 or (action.operation == "delete" and status == 404 and "error" not in item):
                written.done += 1
                continue
            if status == 409 and action.operation == "create":
                # The request before may have been carried out although no answer came.
                if sent_before:
                    written.done += 1
                else:
                    written.conflicts.append(action.id)
                continue
            reason = reason_of(item)
            if "FORBIDDEN/" in reason or "TOO_MANY_REQUESTS/12" in reason:
                raise read_only(self._shown, reason)
            if status == 404:
                raise ConfigurationError(f"there is no index {self._shown} any more ({reason}): index again")
            if status in _BUSY and last:
                raise LodestoneError(
                    f"{self._shown} is not able to write ({status}: {reason}), also not when asked "
                    f"{self._settings.retries + 1} times: look at its health (GET /_cluster/health), and run the same "
                    "command again when it is green or yellow; nothing that was acknowledged is lost"
                )
            if status in _BUSY:
                busy.append((action, reason))
            else:
                written.refused[action.id] = reason
        return busy


def patiently(settings: BulkSettings, ask: Callable[[], Answer]) -> Answer:
    """Ask again while the cluster is unreachable or busy, as long as writing does.

    :param settings: How often.
    :param ask: What may be asked twice without harm; its errors are those of `explained`.
    """
    for attempt in range(settings.retries):
        try:
            return ask()
        except LodestoneError as error:
            if not _may_pass(error):
                raise
            _wait(settings, attempt, _what(error))
    return ask()


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Ask again within two seconds where the cluster was not able to answer, as when a node dies under a search.

    The cluster sends the next search to the replicas. A node that cannot be reached is not waited for here: the client
    has tried the other hosts.

    :param ask: A search; its errors are those of `explained`.
    """
    for seconds in _SEARCH_WAITS:
        try:
            return ask()
        except LodestoneError as error:
            if not (isinstance(error.__cause__, ApiError) and _may_pass(error)):
                raise
            logger.info("a search is tried again in {seconds} s: {reason}", seconds=seconds, reason=str(error))
            time.sleep(seconds)
    return ask()


def _what(error: LodestoneError) -> str:
    """What an error says is wrong, without what is to be done about it."""
    return re.sub(r": (look at|see that) .*", "", str(error), flags=re.DOTALL)


def _wait(settings: BulkSettings, attempt: int, reason: str) -> None:
    seconds = min(settings.first_wait * 2**attempt, _LONGEST_WAIT)
    logger.warning("writing is tried again in {seconds:.0f} s: {reason}", seconds=seconds, reason=reason)
    time.sleep(seconds)


def _too_large(error: LodestoneError) -> str | None:
    """Why a request of one document can never be taken, however often it is sent; None if it may."""
    if isinstance(error.__cause__, ApiError) and error.__cause__.status_code == 413:
        return "it is larger than a request may be (http.max_content_length of the cluster, 100 MB unless set)"
    found = _PRESSURE.search(str(error))
    if found is None or int(found[1]) <= int(found[2]):
        return None
    return f"it has {found[1]} bytes, and the cluster takes {found[2]} at once, a tenth of a node's heap"


def _may_pass(error: LodestoneError) -> bool:
    cause = error.__cause__
    if isinstance(cause, ApiError):
        return cause.status_code in _BUSY and "read-only" not in str(error)
    return isinstance(cause, TransportError) and not isinstance(error, ConfigurationError)
