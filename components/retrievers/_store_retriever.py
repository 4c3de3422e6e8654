"""What all retrievers have in common: a store, filters, and how many documents at most."""

from typing import Any, ClassVar, Generic, Protocol, TypeVar

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.fusion import Fusion
from lodestone.components.stores.settings import check_at_least_one


class SearchableStore(Protocol):
    """What retrievers need of a store; see `FaissDocumentStore`."""

    def to_dict(self) -> dict[str, Any]:
        """The store as a dictionary of its parameters."""

    def embedding_retrieval(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int = 10
    ) -> list[Document]:
        """Search by vectors."""

    def bm25_retrieval(self, query: str, filters: dict[str, Any] | None = None, top_k: int = 10) -> list[Document]:
        """Search by words."""

    def hybrid_retrieval(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        fusion: Fusion = ...,
    ) -> list[Document]:
        """Search by both."""


Store = TypeVar("Store", bound=SearchableStore)
Retriever = TypeVar("Retriever", bound="StoreRetriever[Any]")


class StoreRetriever(Generic[Store]):
    """Base of the retrievers, each of which searches stores of one class.

    :param document_store: Where to search.
    :param filters: Haystack filters for every run; None for all documents.
    :param top_k: How many documents at most.
    :param filter_policy: Filters given to `run` "replace" those given here, or are "merge"d with them.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    store_class: ClassVar[type[Any]]

    def __init__(
        self,
        document_store: Store,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = "replace",
    ) -> None:
        if not isinstance(document_store, self.store_class):
            expected = self.store_class.__name__
            article = "an" if expected[0] in "AEIOU" else "a"
            raise ConfigurationError(
                f"document_store must be {article} {expected}, got {type(document_store).__name__}"
            )
        self.document_store = document_store
        self.filters = filters
        self.top_k = check_at_least_one("top_k", top_k)
        self.filter_policy = _checked_policy(filter_policy)

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary of its parameters."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls: type[Retriever], data: dict[str, Any]) -> Retriever:
        """The component that `to_dict` described.

        Haystack imports only classes of modules that its user allows. The one class that can be meant here needs no
        import.

        :param data: What `to_dict` returned.
        """
        parameters = dict(data.get("init_parameters", {}))
        store = parameters.get("document_store")
        if isinstance(store, dict):
            parameters["document_store"] = cls.store_class.from_dict(store)
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    def _filters_now(self, given: dict[str, Any] | None) -> dict[str, Any] | None:
        """The filters of a run: Haystack's policy, with {} at run time meaning no filter under "replace"."""
        if self.filter_policy == FilterPolicy.REPLACE:
            return self.filters if given is None else given
        return apply_filter_policy(self.filter_policy, self.filters, given)

    def _top_k_now(self, given: int | None) -> int:
        return check_at_least_one("top_k", self.top_k if given is None else given)


def _checked_policy(filter_policy: str | FilterPolicy) -> FilterPolicy:
    try:
        return filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
    except (ValueError, AttributeError):
        valid = ", ".join(policy.value for policy in FilterPolicy)
        raise ConfigurationError(f"filter_policy must be one of {valid}, got {filter_policy!r}") from None
