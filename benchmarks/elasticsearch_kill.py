"""Kills Elasticsearch again and again while files are indexed, and counts what is there in the end.

    python benchmarks/elasticsearch_kill.py --launcher LAUNCHER [--passages 20000] [--kills 5]

The launcher starts and stops a node: `LAUNCHER start|stop --run DIR [--kill] [--port N]`. At each kill (SIGKILL) the
writer is in the middle of its work. Every second time it is told to give up at once, and the run is started again, as a
person would; the other times it waits for the node. In the end every passage must be there once, and every file in the
ledger.
"""

import argparse
import collections
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from elasticsearch_nodes import PER_FILE, Nodes, source

from lodestone import ElasticsearchStore
from lodestone.components.errors import LodestoneError

FILES_AT_ONCE = 25


def run(url: str, files: range, retries: int, killer: threading.Thread | None) -> None:
    """Write what the ledger lacks of the files; the killer is started in the middle of the work."""
    with ElasticsearchStore(url, "killed", replicas=0, max_retries=retries) as store:
        done = {record.path for record in store.sources()}
        todo = [number for number in files if f"{number:06}.md" not in done]
        starts = range(0, len(todo), FILES_AT_ONCE)
        for start in starts:
            if killer is not None and start == starts[len(starts) // 2]:
                killer.start()
            store.write_sources([source(number) for number in todo[start : start + FILES_AT_ONCE]])
        store.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--port", type=int, default=19_200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, files = random.Random(options.seed), options.passages // PER_FILE
    with tempfile.TemporaryDirectory() as folder:
        node = Nodes(options.launcher, Path(folder), options.port)
        node.start()

        def kill(restart: bool) -> None:
            time.sleep(chance.uniform(0, 0.2))
            node.kill()
            print("killed", flush=True)
            if restart:
                node.start()

        try:
            for number in range(options.kills):
                patient = number % 2 == 0
                killer = threading.Thread(target=kill, args=(patient,))
                try:
                    run(node.urls[0], range(files * (number + 1) // (options.kills + 1)), 6 if patient else 0, killer)
                    print("went on when the node was back", flush=True)
                except LodestoneError as error:
                    print(f"gave up: {str(error)[:100]}...", flush=True)
                killer.join()
                node.start()
            run(node.urls[0], range(files), 6, None)
            with ElasticsearchStore(node.urls[0], "killed") as store:
                found = collections.Counter(
                    (str(document.meta["source"]), document.meta["split_id"]) for document in store.filter_documents()
                )
                rows = sum(1 for _ in store.sources())
            twice = sum(count > 1 for count in found.values())
            print(
                f"passages {len(found):,} of {files * PER_FILE:,}, more than once {twice}, files {rows:,} of {files:,}"
            )
            if len(found) != files * PER_FILE or twice or rows != files:
                sys.exit("passages or files are missing")
        finally:
            node.kill()


if __name__ == "__main__":
    main()
