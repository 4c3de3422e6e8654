"""The pair of indexes that a store is: passages, and the ledger of files; both behind aliases."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from elastic_transport import ApiResponseMeta, HttpHeaders, TransportError
from elasticsearch import ApiError, BadRequestError, NotFoundError

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.elasticsearch.bulk import (
    Action,
    Answer,
    BulkSettings,
    BulkWriter,
    Written,
    at_once,
    patiently,
)
from lodestone.components.stores.elasticsearch.connection import Connection
from lodestone.components.stores.elasticsearch.filters import Query
from lodestone.components.stores.elasticsearch.generations import NEXT, Generations
from lodestone.components.stores.elasticsearch.mapping import LEDGER_MAPPINGS, IndexSettings
from lodestone.components.stores.elasticsearch.problems import explained

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_PAGE = 1000
_KEEP_ALIVE = "5m"


class PassageIndex:
    """Creates the indexes, and reads and writes documents of them. All methods may be called from any thread.

    :param connection: The cluster.
    :param name: Alias of the passages; that of the ledger is `NAME-ledger`.
    :param settings: What the indexes are created with, and must have been created with.
    :param bulk: How bulk requests are sent.
    """

    def __init__(self, connection: Connection, name: str, settings: IndexSettings, bulk: BulkSettings) -> None:
        _check_name(name)
        self.name = name
        self.ledger = f"{name}-ledger"
        self.settings = settings
        self._connection = connection
        self._bulk = bulk
        self._lock = threading.RLock()
        self._client: Elasticsearch | None = None
        self._ready = False
        self._ledger_checked = False
        self._dim: int | None = None

    @property
    def shown(self) -> str:
        """What messages call the index: its URL."""
        return f"{self._connection.shown}/{self.name}"

    @property
    def client(self) -> "Elasticsearch":
        """The client, connected when it is first asked for."""
        with self._lock:
            if self._client is None:
                self._client = self._connection.connect()
            return self._client

    def close(self) -> None:
        """Let go of the connection; the next call opens it."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None
            self._ready = False

    def exists(self) -> bool:
        """Whether there is an index, made by this and with these settings.

        :raises ConfigurationError: If there is one of that name that cannot be used.
        """
        with self._lock:
            if not self._ready:
                client = self.client
                try:
                    with explained(self.shown):
                        found = client.indices.get_mapping(index=self.name).body
                except ConfigurationError as error:
                    if isinstance(error.__cause__, NotFoundError):
                        return False
                    raise
                self._adopt(found)
            return True

    @property
    def dim(self) -> int | None:
        """Length of the vectors; None if there are none yet."""
        if self.exists() and self._dim is None:
            with self._lock, explained(self.shown):
                self._adopt(self.client.indices.get_mapping(index=self.name).body)
        return self._dim

    def prepare(self, dim: int | None) -> None:
        """Create what is missing before documents are written.

        :param dim: Length of their vectors; None if they have none.
        :raises ConfigurationError: If the index has vectors of another length.
        """
        with self._lock:
            if not self.exists():
                self._create(dim if self.settings.embedding_dim is None else self.settings.embedding_dim)
            self._complete_ledger()
            if dim is None or self.dim == dim:
                return
            if self._dim is not None:
                raise ConfigurationError(
                    f"{self.shown} has vectors of {self._dim} dimensions, not {dim}: use the embedding model that it "
                    "was made with, or another index; nothing was written"
                )
            with explained(self.shown):
                self.client.indices.put_mapping(index=self.name, properties={"embedding": self.settings.vectors(dim)})
            self._dim = dim

    def _create(self, dim: int | None) -> None:
        generations = Generations(self.client, self.name.removesuffix(NEXT), self.shown)
        concrete = generations.free_name()
        passages = {"mappings": self.settings.mappings(dim), "settings": self.settings.index_settings()}
        # The ledger first: passages without a ledger would not be found again by the next run.
        ledger = {"mappings": LEDGER_MAPPINGS, "settings": self.settings.copies()}
        for name, alias, body in ((f"{concrete}-ledger", self.ledger, ledger), (concrete, self.name, passages)):
            try:
                with explained(self.shown):
                    self.client.indices.create(index=name, aliases={alias: {}}, **body)  # type: ignore[arg-type]
            except LodestoneError as error:
                cause = error.__cause__
                if isinstance(cause, BadRequestError) and cause.error == "invalid_alias_name_exception":
                    raise ConfigurationError(
                        f"{self._connection.shown} has an index or data stream {alias}, which Lodestone did not make, "
                        f"and {self.shown} needs that name: name another index, or delete that one"
                    ) from error
                if not (isinstance(cause, BadRequestError) and cause.error == "resource_already_exists_exception"):
                    raise
        self._ready = False
        if not self.exists():
            raise ConfigurationError(
                f"{self._connection.shown} has an index {concrete} without the alias {self.name}: delete it, or name "
                "another index"
            )

    def _complete_ledger(self) -> None:
        """Give the ledger the fields that one of an earlier version lacks."""
        if self._ledger_checked:
            return
        wanted = LEDGER_MAPPINGS["properties"]
        with explained(self.shown):
            found = self.client.indices.get_mapping(index=self.ledger).body
            for name, about in found.items():
                missing = {field: wanted[field] for field in wanted.keys() - about["mappings"]["properties"].keys()}
                if missing:
                    self.client.indices.put_mapping(index=name, properties=missing)
        self._ledger_checked = True

    @property
    def generations(self) -> Generations:
        """The indexes behind the alias, with those that were and that will be."""
        return Generations(self.client, self.name, self.shown)

    def building(self) -> "PassageIndex":
        """What is to take the place of this one, behind `NAME-next`; whoever asks for it closes it."""
        return PassageIndex(self._connection, f"{self.name}{NEXT}", self.settings, self._bulk)

    def drop(self) -> None:
        """Delete the indexes behind both aliases."""
        with self._lock, explained(self.shown):
            found = self.client.indices.get_alias(name=[self.name, self.ledger]).body
            self.client.indices.delete(index=sorted(found))
            self._ready, self._ledger_checked, self._dim = False, False, None

    def _adopt(self, found: dict[str, Any]) -> None:
        if len(found) > 1:
            raise ConfigurationError(f"{self.shown} is an alias of several indexes: {', '.join(sorted(found))}")
        concrete, about = next(iter(found.items()))
        if concrete == self.name and "lodestone" in about["mappings"].get("_meta", {}):
            raise ConfigurationError(
                f"{self.shown} is one of the indexes behind an alias: give the alias, {self.name[:-7]!r}, as the name; "
                "how an older index is made to serve again stands in docs/elasticsearch.md"
            )
        if concrete == self.name:
            raise ConfigurationError(
                f"{self.shown} is an index that Lodestone did not make: name another, or delete it"
            )
        self._dim = self.settings.check(about["mappings"], self.shown)
        self._ready = True

    def write(self, actions: Iterable[Action]) -> Written:
        """Write and delete documents. See `BulkWriter.write`."""
        return BulkWriter(self.client, self._bulk, self.shown).write(actions)

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again while the cluster is unreachable or busy, as long as `write` does.

        :param ask: What may be asked twice without harm.
        """
        return patiently(self._bulk, ask)

    def refresh(self, *names: str) -> None:
        """Make what was written visible to searches, however long the cluster is unreachable that `write` may wait.

        :param names: Aliases; none for both.
        """

        def ask() -> None:
            with explained(self.shown):
                self.client.indices.refresh(index=list(names or (self.name, self.ledger)))

        self.patiently(ask)

    def ids(self, query: Query, alias: str | None = None) -> list[str]:
        """Ids of all documents that match; asked for as patiently as `refresh`.

        :param query: A query.
        :param alias: Which index; None for the passages.
        """

        def ask() -> list[str]:
            # A point in time costs two requests more, and there are seldom so many.
            with explained(self.shown):
                few = self.client.search(
                    index=alias or self.name,
                    query=query,
                    source=False,
                    size=_PAGE,
                    track_total_hits=False,
                    allow_partial_search_results=False,
                )["hits"]["hits"]
            pages = [few] if len(few) < _PAGE else self.pages(query, [], alias)
            return [hit["_id"] for hits in pages for hit in hits]

        return self.patiently(ask)

    def count(self, query: Query, alias: str | None = None) -> int:
        """How many documents match.

        :param query: A query.
        :param alias: Which index; None for the passages.
        """
        answer = self.search(alias, query=query, size=0, track_total_hits=True)
        return int(answer["hits"]["total"]["value"])

    def search(self, alias: str | None = None, **body: Any) -> dict[str, Any]:
        """One search; never a part of the documents only, where shards are missing.

        :param alias: Which index; None for the passages.
        :param body: What to search for.
        """

        def ask() -> dict[str, Any]:
            with explained(self.shown):
                answer: dict[str, Any] = self.client.search(
                    index=alias or self.name, allow_partial_search_results=False, **body
                ).body
            return answer

        return at_once(ask)

    def searches(self, bodies: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Several searches over the passages in one request.

        :param bodies: What to search for.
        :returns: The hits of each.
        """
        lines: list[dict[str, Any]] = []
        for body in bodies:
            lines += [{"index": self.name, "allow_partial_search_results": False}, body]

        def ask() -> list[dict[str, Any]]:
            with explained(self.shown):
                answers: list[dict[str, Any]] = self.client.msearch(searches=lines)["responses"]
                for answer in answers:
                    if "error" in answer:
                        _raise(self.client, answer)
            return answers

        return [answer["hits"]["hits"] for answer in at_once(ask)]

    def pages(
        self, query: Query, source: list[str], alias: str | None = None, sort: list[str] | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """All documents that match, however many, as they are at one point in time.

        :param query: A query.
        :param source: Which fields to fetch; none for ids only.
        :param alias: Which index; None for the passages.
        :param sort: Fields that order them; None for any order.
        :returns: Hits, by pages.
        """
        client = self.client
        with explained(self.shown):
            point = client.open_point_in_time(index=alias or self.name, keep_alive=_KEEP_ALIVE)["id"]
        after: list[Any] | None = None
        try:
            while True:
                with explained(self.shown):
                    answer = client.search(
                        pit={"id": point, "keep_alive": _KEEP_ALIVE},
                        query=query,
                        source={"includes": source} if source else False,
                        size=_PAGE,
                        sort=[*(sort or []), "_shard_doc"],
                        search_after=after,
                        track_total_hits=False,
                        allow_partial_search_results=False,
                    )
                point = answer.get("pit_id", point)
                hits = answer["hits"]["hits"]
                if hits:
                    yield hits
                    after = hits[-1]["sort"]
                if len(hits) < _PAGE:
                    return
        finally:
            # It ends by itself too; what went wrong before is what matters.
            with contextlib.suppress(ApiError, TransportError):
                client.close_point_in_time(id=point)


def _raise(client: "Elasticsearch", answer: dict[str, Any]) -> None:
    node = next(iter(client.transport.node_pool.all())).config
    meta = ApiResponseMeta(int(answer.get("status", 500)), "1.1", HttpHeaders(), 0.0, node)
    raise ApiError(message=str(answer["error"].get("type", "")), meta=meta, body=answer)


def _check_name(name: str) -> None:
    wrong = not isinstance(name, str) or not name or name != name.lower() or name[0] in "-_+."
    if wrong or any(character in '\\/*?"<>| ,#:' for character in name) or len(name.encode()) > 200:
        raise ConfigurationError(
            f"index must be a lower-case name without spaces, slashes, commas or quotes, got {name!r:.100}"
        )
    if name.endswith("-ledger"):
        raise ConfigurationError(f"index must not end in -ledger, as the lists of files do, got {name!r:.100}")
