"""Kills `lodestone index` at random moments and checks that a rerun leaves the index of an undisturbed run.

    python benchmarks/kill_index.py [--corpus FOLDER] [--kills 20]

The corpus is any folder of documents; by default the project's examples.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lodestone import FaissDocumentStore

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "corpus"


def main() -> None:
    """Index undisturbed, index with kills, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=EXAMPLES)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed = Path(folder) / "undisturbed", Path(folder) / "disturbed"
        started = time.monotonic()
        run(arguments.corpus, undisturbed)
        whole = time.monotonic() - started
        print(f"undisturbed run: {whole:.1f} s", flush=True)
        expected, kills, differences = contents(undisturbed), 0, []
        while kills < arguments.kills:
            process = start(arguments.corpus, disturbed)
            try:
                process.wait(timeout=moments.uniform(0, whole))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                print(f"kill {kills}: {count(disturbed)} of {len(expected['passages'])} passages", flush=True)
            else:
                # It got to its end before its moment came: compare, and begin anew.
                differences += compare(expected, contents(disturbed))
                print(f"complete: {differences or 'equal'}", flush=True)
                shutil.rmtree(disturbed)
        run(arguments.corpus, disturbed)
        differences += compare(expected, contents(disturbed))
    print(f"after {kills} kills and a rerun: {differences or 'equal'}")
    sys.exit(1 if differences else 0)


def start(corpus: Path, index: Path) -> "subprocess.Popen[bytes]":
    """Start the command."""
    command = [sys.executable, "-m", "lodestone", "index", str(corpus), "--index", str(index)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(corpus: Path, index: Path) -> None:
    """Run the command to its end; some files of the corpus may fail."""
    code = start(corpus, index).wait()
    if code not in (0, 1):
        raise SystemExit(f"lodestone index exited with {code}")


def count(index: Path) -> int:
    """Passages in an index."""
    with FaissDocumentStore(str(index)) as store:
        return store.count_documents()


def contents(index: Path) -> dict[str, Any]:
    """Passages, ledger, and what either derived index holds."""
    with FaissDocumentStore(str(index)) as store:
        passages = {document.id: document for document in store.filter_documents()}
        some = next(document.embedding for document in passages.values() if document.embedding is not None)
        return {
            "passages": passages,
            "ledger": {(r.root, r.path): (r.content_hash, r.state, r.passages) for r in store.sources()},
            "texts": {d.meta["source_id"]: store.source_text(d.meta["source_id"]) for d in passages.values()},
            "dense": {document.id for document in store.embedding_retrieval(some, top_k=len(passages) + 1)},
            "bm25": [document.id for document in store.bm25_retrieval("the and of to what is", top_k=1000)],
        }


def compare(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs."""
    differences = [name for name in ("ledger", "texts", "dense") if expected[name] != found[name]]
    if sorted(expected["bm25"]) != sorted(found["bm25"]):
        differences.append("bm25")
    if expected["passages"].keys() != found["passages"].keys():
        return [*differences, "passages"]
    for key, document in expected["passages"].items():
        other = found["passages"][key]
        if (document.content, document.meta) != (other.content, other.meta):
            differences.append(f"passage {key}")
        # The last bits of a vector depend on which passages shared its batch.
        elif np.dot(document.embedding, other.embedding) < 0.9999:
            differences.append(f"vector of {key}")
    return differences


if __name__ == "__main__":
    main()
