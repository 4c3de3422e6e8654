"""The indexes that stand, stood or will stand behind an alias: how a new one takes an old one's place."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.elasticsearch.problems import explained

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

NEXT = "-next"
"""Behind `NAME-next` stands the index that is being built to take the place of the one behind `NAME`."""


@dataclass(frozen=True)
class Generation:
    """One index of passages, with its ledger.

    :param name: Its own name, `NAME-000001`.
    :param state: "serving", "building", or "old".
    :param passages: How many it holds.
    :param bytes: Size on all nodes' disks, with its ledger.
    :param created: Time of creation, ISO 8601, UTC.
    """

    name: str
    state: str
    passages: int
    bytes: int
    created: str


class Generations:
    """All indexes of one alias.

    :param client: The client.
    :param alias: Of the passages.
    :param shown: What messages call the index.
    """

    def __init__(self, client: "Elasticsearch", alias: str, shown: str) -> None:
        self._client = client
        self._alias = alias
        self._shown = shown

    def free_name(self) -> str:
        """The name of the index that is to be created next."""
        last = max((int(name[-6:]) for name in self._found() if self._is_passages(name)), default=0)
        return f"{self._alias}-{last + 1:06}"

    def listed(self) -> list[Generation]:
        """All of them, oldest first."""
        found = self._found()
        names = [name for name in found if self._is_passages(name)]
        if not names:
            return []
        building = [name for name in names if self._state(found[name]["aliases"]) == "building"]
        with explained(self._shown):
            if building:  # nobody searches it, so that nothing else shows what it holds
                self._client.indices.refresh(index=building)
            stats = self._client.indices.stats(index=sorted(found), metric=["store", "docs"])["indices"]
        generations = []
        for name in sorted(names):
            own = [stats[one] for one in (name, f"{name}-ledger") if one in stats]
            created = int(found[name]["settings"]["index"]["creation_date"]) / 1000
            generations.append(
                Generation(
                    name,
                    self._state(found[name]["aliases"]),
                    stats[name]["primaries"]["docs"]["count"],
                    sum(one["total"]["store"]["size_in_bytes"] for one in own),
                    datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds"),
                )
            )
        return generations

    def swap(self, keep: int) -> list[str]:
        """Put the index that was built in the place of the one that serves, in one step, and delete older ones.

        :param keep: How many of those that do not serve any more to keep.
        :returns: The names of those that were deleted.
        :raises ConfigurationError: If none was built.
        """
        found = self._found()
        actions: list[dict[str, Any]] = []
        replaced: set[str] = set()
        for suffix in ("", "-ledger"):
            alias, building = f"{self._alias}{suffix}", f"{self._alias}{NEXT}{suffix}"
            new = [name for name, about in found.items() if building in about["aliases"]]
            if len(new) != 1:
                raise ConfigurationError(f"there is no index {building} to put in the place of {self._shown}")
            old = [name for name, about in found.items() if alias in about["aliases"]]
            replaced.update(old)
            actions += [{"remove": {"index": name, "alias": alias}} for name in old]
            actions += [{"add": {"index": new[0], "alias": alias}}, {"remove": {"index": new[0], "alias": building}}]
        with explained(self._shown):
            self._client.indices.update_aliases(actions=actions)
        # Where an older one was made to serve again, that is the one to go back to, and not the newest.
        outdated = [one.name for one in self.listed() if one.state == "old"]
        outdated.sort(key=lambda name: name in replaced)
        doomed = outdated[: max(len(outdated) - keep, 0)]
        ledgers = {f"{name}-ledger" for name in doomed} & found.keys()
        if doomed:
            with explained(self._shown):
                self._client.indices.delete(index=sorted({*doomed, *ledgers}))
        return doomed

    def _state(self, aliases: dict[str, Any]) -> str:
        if self._alias in aliases:
            return "serving"
        return "building" if f"{self._alias}{NEXT}" in aliases else "old"

    def _found(self) -> dict[str, Any]:
        with explained(self._shown):
            found = self._client.indices.get(index=f"{self._alias}-*", allow_no_indices=True, features=_FEATURES).body
        return {
            name: about
            for name, about in found.items()
            if self._is_passages(name) or self._is_passages(name.removesuffix("-ledger"))
        }

    def _is_passages(self, name: str) -> bool:
        return re.fullmatch(re.escape(self._alias) + r"-[0-9]{6}", name) is not None


_FEATURES = ["aliases", "settings"]
