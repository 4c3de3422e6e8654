"""What the retrievers' parameters have in common."""

from typing import Any

from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore


def check_store(document_store: Any) -> FaissDocumentStore:
    """Refuse another store than ours.

    :param document_store: What a retriever was given.
    :raises ConfigurationError: If it is no `FaissDocumentStore`.
    """
    if not isinstance(document_store, FaissDocumentStore):
        raise ConfigurationError(f"document_store must be a FaissDocumentStore, got {type(document_store).__name__}")
    return document_store


def check_at_least_one(name: str, value: Any) -> int:
    """Refuse a count below 1.

    :param name: The parameter's name.
    :param value: Its value.
    :raises ConfigurationError: If it is no integer of at least 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be at least 1, got {value!r}")
    return value


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
