"""Kills the nodes of a cluster of three, one after another, while questions are asked and passages are written.

    python benchmarks/elasticsearch_cluster.py --launcher LAUNCHER [--kills 3] [--seconds 20] [--folder DIR]

The launcher starts and stops nodes: `LAUNCHER start|stop --run DIR [--kill] [--nodes N] [--node N] [--port N]`. Every
shard has one replica. The first to be killed (SIGKILL) is the master. Each node is out for --seconds, comes back, and
the next is killed when the cluster is green again. Meanwhile two threads ask for passages that are known to be there,
by vectors and by words together, and one thread writes files as `lodestone index` does. A question fails if it raises
or does not find its passage; the time from then until the same thread is answered again is what is told. In the end
each passage that was acknowledged must be there once, and each file in the ledger.
"""

import argparse
import collections
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from elasticsearch_nodes import PER_FILE, Nodes, source, word

from lodestone import ElasticsearchStore
from lodestone.components.errors import LodestoneError

INDEX = "cluster"
KNOWN = 100  # files that are written before the first question
FILES_AT_ONCE = 5
ASKERS = 2
QUIET = 3.0  # seconds of questions before each kill
LONGEST = 10.0  # seconds that questions may fail


@dataclass(frozen=True)
class Asked:
    """One question.

    :param started: When, by `time.monotonic`.
    :param ended: When it was answered, or failed.
    :param error: Why it failed; None if it was answered.
    """

    started: float
    ended: float
    error: str | None


class Asker(threading.Thread):
    """Asks one question after another.

    :param urls: The nodes.
    :param seed: Of the order of the questions.
    :param stopping: Set when enough was asked.
    """

    def __init__(self, urls: list[str], seed: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._urls, self._chance, self._stopping = urls, random.Random(seed), stopping
        self.asked: list[Asked] = []

    def run(self) -> None:
        with ElasticsearchStore(self._urls, INDEX) as store:
            while not self._stopping.is_set():
                number, place = self._chance.randrange(KNOWN), self._chance.randrange(PER_FILE)
                passage = source(number)[2][place]
                started, error = time.monotonic(), None
                try:
                    found = store.hybrid_retrieval(word(number, place), passage.embedding or [])
                    if not found or found[0].id != passage.id:
                        error = f"{passage.id} was not found"
                except LodestoneError as failure:
                    error = str(failure)
                self.asked.append(Asked(started, time.monotonic(), error))
                time.sleep(0.02)

    def longest_failing(self, start: float, end: float) -> float:
        """Seconds from the first question that failed until the next one that was answered, at most."""
        longest, since = 0.0, None
        for one in self.asked:
            if one.error is not None:
                since = one.started if since is None else since
            elif since is not None:
                longest = max(longest, one.ended - since if since < end and one.ended > start else 0.0)
                since = None
        return longest if since is None else max(longest, time.monotonic() - since)


class Writer(threading.Thread):
    """Writes one batch of files after another, again what was not acknowledged.

    :param urls: The nodes.
    :param stopping: Set when enough was written.
    """

    def __init__(self, urls: list[str], stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._urls, self._stopping = urls, stopping
        self.acknowledged = KNOWN  # files
        self.batches: list[Asked] = []

    def run(self) -> None:
        with ElasticsearchStore(self._urls, INDEX) as store:
            while not self._stopping.is_set():
                files = range(self.acknowledged, self.acknowledged + FILES_AT_ONCE)
                started, error = time.monotonic(), None
                try:
                    store.write_sources([source(number) for number in files])
                    self.acknowledged += FILES_AT_ONCE
                except LodestoneError as failure:
                    error = str(failure)
                self.batches.append(Asked(started, time.monotonic(), error))


class Trial:
    """Kills nodes and tells what came of it.

    :param nodes: The cluster.
    :param store: A connection of its own.
    """

    def __init__(self, nodes: Nodes, store: ElasticsearchStore) -> None:
        self._nodes, self._store = nodes, store
        self._stopping = threading.Event()
        self.askers = [Asker(nodes.urls, seed, self._stopping) for seed in range(ASKERS)]
        self.writer = Writer(nodes.urls, self._stopping)
        self.failing = 0.0

    def start(self) -> None:
        """Write what is asked for, and begin to ask and write."""
        self._store.write_sources([source(number) for number in range(KNOWN)])
        self._store.save()
        self.wait_until_green()
        for thread in (*self.askers, self.writer):
            thread.start()

    def kill(self, number: int, seconds: float) -> str:
        """Kill a node, and bring it back.

        :param number: Which, from 0.
        :param seconds: How long it is out.
        :returns: A line of the table.
        """
        time.sleep(QUIET)
        role = "master" if self.master() == number else "other"
        files, start = self.writer.acknowledged, time.monotonic()
        self._nodes.kill(number)
        time.sleep(seconds)
        written = (self.writer.acknowledged - files) * PER_FILE
        back = time.monotonic()
        self._nodes.start(number)
        self.wait_until_green()
        end = time.monotonic()
        asked = [one for asker in self.askers for one in asker.asked if start <= one.ended <= end]
        batches = [one for one in self.writer.batches if start <= one.ended <= end]
        failed = [one.error for one in asked if one.error is not None]
        failing = max(asker.longest_failing(start, end) for asker in self.askers)
        slowest = max(one.ended - one.started for one in asked)
        self.failing = max(self.failing, failing, slowest)
        for error, count in collections.Counter(failed).most_common(3):
            print(f"failed {count} times: {error}", file=sys.stderr, flush=True)
        refused = sum(one.error is not None for one in batches)
        longest_write = max((one.ended - one.started for one in batches), default=0.0)
        return (
            f"| {number + 1}, {role} | {len(asked):,} | {len(failed)} | {failing:.1f} s | {slowest:.1f} s | "
            f"{written:,} | {refused} | {longest_write:.1f} s | {end - back:.1f} s |"
        )

    def stop(self) -> None:
        """End all questions and writes."""
        self._stopping.set()
        for thread in (*self.askers, self.writer):
            thread.join(timeout=120)

    def lost(self) -> str | None:
        """What of what was acknowledged is not there just once; None if all is."""
        self._store.save()
        found = collections.Counter(document.id for document in self._store.filter_documents())
        rows = {record.path for record in self._store.sources()}
        files = range(self.writer.acknowledged)
        missing = sum(f"{number:06}-{place}" not in found for number in files for place in range(PER_FILE))
        unknown = sum(f"{number:06}.md" not in rows for number in files)
        twice = sum(count > 1 for count in found.values())
        print(
            f"\nacknowledged passages {len(files) * PER_FILE:,}: missing {missing}, more than once {twice}; "
            f"of {len(files):,} files not in the ledger {unknown}; the cluster is {self.health()}"
        )
        return "acknowledged passages or files are missing" if missing or twice or unknown else None

    def master(self) -> int:
        """The number of the node that is master, from 0."""
        return int(self._store.client.cat.master(format="json").body[0]["node"].removeprefix("node-")) - 1

    def health(self) -> str:
        """green, yellow or red."""
        return str(self._store.client.cluster.health()["status"])

    def wait_until_green(self) -> None:
        """Return when all shards have their replicas.

        :raises TimeoutError: If that takes longer than 2 min.
        """
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            health = self._store.client.cluster.health()
            if health["status"] == "green" and health["number_of_nodes"] == len(self._nodes.urls):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the cluster is {self.health()} after 120 s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a node is out")
    parser.add_argument("--port", type=int, default=19_400)
    parser.add_argument("--folder", type=Path, help="of the nodes' data; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        nodes = Nodes(options.launcher, Path(folder), options.port, 3)
        try:
            nodes.start()
            with ElasticsearchStore(nodes.urls, INDEX, shards=3, replicas=1) as store:
                trial = Trial(nodes, store)
                trial.start()
                print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
                print("| node killed | questions | failed | failing for | slowest | written while it was out |", end="")
                print(" batches refused | slowest batch | green after its return |")
                print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
                for _ in range(options.kills):
                    master = trial.master()
                    print(trial.kill(master if _ == 0 else (master + 1) % 3, options.seconds), flush=True)
                trial.stop()
                problem = trial.lost()
        finally:
            nodes.kill()
    if trial.failing > LONGEST:
        problem = f"questions failed for {trial.failing:.1f} s, more than {LONGEST:.0f} s"
    if problem is not None:
        sys.exit(problem)
    print("no question failed for long, nothing was lost")


if __name__ == "__main__":
    main()
