"""What the retrievers' parameters have in common."""

from typing import Any, TypeVar

from haystack import default_from_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from lodestone.components.errors import ConfigurationError

Retriever = TypeVar("Retriever")
Store = TypeVar("Store")


def check_store(document_store: Any, expected: type[Store]) -> Store:
    """Refuse another store than the one that the retriever is made for.

    :param document_store: What a retriever was given.
    :param expected: The store's class.
    :raises ConfigurationError: If it is of another class.
    """
    if not isinstance(document_store, expected):
        article = "an" if expected.__name__[0] in "AEIOU" else "a"
        raise ConfigurationError(
            f"document_store must be {article} {expected.__name__}, got {type(document_store).__name__}"
        )
    return document_store


def check_policy(filter_policy: str | FilterPolicy) -> FilterPolicy:
    """Read a filter policy.

    :param filter_policy: "replace" or "merge".
    :raises ConfigurationError: If it is something else.
    """
    try:
        return filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
    except (ValueError, AttributeError):
        valid = ", ".join(policy.value for policy in FilterPolicy)
        raise ConfigurationError(f"filter_policy must be one of {valid}, got {filter_policy!r}") from None


def effective_filters(
    policy: FilterPolicy, init: dict[str, Any] | None, runtime: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The filters of a run: Haystack's policy, with {} at run time meaning no filter under "replace"."""
    if policy == FilterPolicy.REPLACE:
        return init if runtime is None else runtime
    return apply_filter_policy(policy, init, runtime)


def retriever_from_dict(cls: type[Retriever], data: dict[str, Any], store_class: Any) -> Retriever:
    """A retriever with its store.

    Haystack imports only classes of modules that its user allows. The one class that can be meant here needs no import.

    :param cls: The retriever's class.
    :param data: What `to_dict` returned.
    :param store_class: The store's class.
    """
    parameters = dict(data.get("init_parameters", {}))
    store = parameters.get("document_store")
    if isinstance(store, dict):
        parameters["document_store"] = store_class.from_dict(store)
    return default_from_dict(cls, {**data, "init_parameters": parameters})
