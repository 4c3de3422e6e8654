"""The other files that hold what an answer was found in."""

from collections.abc import Mapping
from typing import Any


class Copies:
    """Looks up the copies of documents, once for each.

    :param store: The store that the passages are from; one without a ledger knows of no copies.
    """

    def __init__(self, store: Any) -> None:
        self._look_up = getattr(store, "copies", None)
        self._found: dict[tuple[str, str], list[str]] = {}

    def of(self, meta: Mapping[str, Any]) -> list[str]:
        """The copies of the document that a passage or a piece of evidence is from.

        :param meta: With its `root` and `source`.
        :returns: `root/path` of each, in this order.
        """
        root, source = meta.get("root"), meta.get("source")
        if self._look_up is None or not isinstance(root, str) or not isinstance(source, str):
            return []
        if (root, source) not in self._found:
            self._found[root, source] = [f"{root}/{path}" for root, path in self._look_up(root, source)]
        return self._found[root, source]
