"""Kills a process that writes to a store at random moments, fills its disk, cuts its files off: what is left?

    python benchmarks/kill_store.py [--kills 300] [--seed 0] [--parts kills cuts disk]

The writer writes, overwrites, deletes, saves, compacts and changes the index type, with thresholds so low that vector
indexes are built in the background all the time; some batches are so large that their words are indexed in the
background too. Before and after each operation it notes it. After each kill the store
must hold what the finished operations made of it, with the one under way done wholly or not at all; every passage and
vector must be just as it was written; and dense search, BM25 and SQL must know the same passages. Every other time only
a copy of the folder is opened for that, so that the next writer finds what the kill left.

The full disk is a small tmpfs that is made larger afterwards, for which that part must be run as root.
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.errors import LodestoneError
from lodestone.components.stores import FaissDocumentStore

DIM = 16
State = dict[int, tuple[int, int]]  # batch -> version, passages
OPERATIONS = {"write": 40, "overwrite": 12, "delete": 14, "save": 14, "search": 10, "compact": 5, "set_index_type": 5}


def main() -> None:
    """Kill, fill, truncate; exit with 1 if anything was lost."""
    if sys.argv[1:2] == ["--nursery"]:
        nursery(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=["kills", "cuts", "disk"], default=["kills", "cuts", "disk"])
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # that an index is rebuilt is what is wanted here
    failures = kill(arguments.kills, random.Random(arguments.seed)) if "kills" in arguments.parts else []
    failures += cut_off() if "cuts" in arguments.parts else []
    failures += fill_the_disk() if "disk" in arguments.parts else []
    for failure in failures:
        print(f"FAILED: {failure}")
    print("nothing was lost" if not failures else f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


# The writer


def nursery(folder: Path, notes: Path) -> None:
    """Start a writer for every line of input: by forking, so that imports are paid for once."""
    from lodestone.components.stores import index_types, vector_index

    vector_index._MOST_RECENT = 40
    index_types.FLAT_UP_TO = 120
    logging.disable(logging.WARNING)
    import faiss  # noqa: F401
    import tantivy  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            task = json.loads(line)
            state = {int(batch): tuple(entry) for batch, entry in task["state"].items()}
            write(folder, notes, state, random.Random(task["seed"]))
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


def write(folder: Path, notes: Path, state: State, chance: random.Random) -> None:
    """Work on the store until killed."""
    store = FaissDocumentStore(folder)
    log = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    while True:
        entry = choose(state, chance)
        os.write(log, (json.dumps(["begin", entry]) + "\n").encode())
        perform(store, entry)
        os.write(log, (json.dumps(["end", entry]) + "\n").encode())
        state = after(state, entry)


def choose(state: State, chance: random.Random) -> list[Any]:
    """The next operation: its kind, batch, version and number of passages; or its kind and index type."""
    kind = chance.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
    if len(state) > 25:
        kind = "delete"
    if kind in ("overwrite", "delete") and state:
        batch = chance.choice(sorted(state))
        return [kind, batch, state[batch][0] + 1, state[batch][1]]
    if kind == "write" or not state:
        # Of many passages at once the words are indexed in the background.
        return ["write", max(state, default=0) + 1, 1, 700 if chance.random() < 0.04 else chance.randint(1, 40)]
    return [kind, chance.choice(["auto", "flat", "ivf", "hnsw"])]


def perform(store: FaissDocumentStore, entry: list[Any]) -> None:
    """Do it."""
    match entry:
        case ["write" | "overwrite", batch, version, count]:
            passages = [passage(batch, version, n) for n in range(count)]
            store.write_documents(passages, policy=DuplicatePolicy.OVERWRITE)
        case ["delete", batch, _, count]:
            if batch % 2:
                store.delete_by_filter({"field": "meta.batch", "operator": "==", "value": batch})
            else:
                store.delete_documents([f"{batch}-{n}" for n in range(count)])
        case ["search", _]:
            store.embedding_retrieval([1.0] * DIM)
            store.bm25_retrieval("word")
        case ["set_index_type", index_type]:
            store.set_index_type(index_type)
        case [kind, _]:
            getattr(store, kind)()


def after(state: State, entry: list[Any]) -> State:
    """What the store holds after an operation."""
    changed = dict(state)
    if entry[0] in ("write", "overwrite"):
        changed[entry[1]] = (entry[2], entry[3])
    elif entry[0] == "delete":
        changed.pop(entry[1], None)
    return changed


def passage(batch: int, version: int, n: int) -> Document:
    """A passage that can be told from any other."""
    vector = np.random.default_rng([batch, version, n]).standard_normal(DIM).astype(np.float32)
    meta = {"batch": batch, "version": version, "n": n}
    content = f"word b{batch}v{version}n{n} " + "text " * (n % 50)
    return Document(id=f"{batch}-{n}", content=content, meta=meta, embedding=vector.tolist())


# Kills


def kill(kills: int, chance: random.Random) -> list[str]:
    """Kill writers, and check after each."""
    failures: list[str] = []
    interrupted: Counter[str] = Counter()
    finished = 0
    with tempfile.TemporaryDirectory() as name:
        folder, notes = Path(name) / "store", Path(name) / "notes"
        command = [sys.executable, __file__, "--nursery", str(folder), str(notes)]
        writers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert writers.stdin is not None
        assert writers.stdout is not None
        state: State = {}
        for number in range(1, kills + 1):
            notes.unlink(missing_ok=True)
            writers.stdin.write(json.dumps({"seed": chance.random(), "state": state}) + "\n")
            writers.stdin.flush()
            child = int(writers.stdout.readline())
            time.sleep(chance.uniform(0.01, 0.8))
            os.kill(child, signal.SIGKILL)
            writers.stdout.readline()
            lines = notes.read_text().splitlines() if notes.exists() else []
            entries = [json.loads(line) for line in lines]
            done = [entry for word, entry in entries if word == "end"]
            for entry in done:
                state = after(state, entry)
            pending = entries[-1][1] if entries and entries[-1][0] == "begin" else None
            interrupted["none" if pending is None else pending[0]] += 1
            finished += len(done)
            state, found = check(folder, state, pending, leave=bool(number % 2))
            failures += [f"kill {number} during {pending}: {failure}" for failure in found]
            if number % 20 == 0:
                print(f"kill {number}: {finished:,} operations finished, {len(state)} batches", flush=True)
        writers.communicate()
    during = ", ".join(f"{kind} {count}" for kind, count in interrupted.most_common())
    print(f"{kills} kills, {finished:,} finished operations before them; during: {during}", flush=True)
    return failures


def check(folder: Path, state: State, pending: list[Any] | None, leave: bool) -> tuple[State, list[str]]:
    """Compare a store with what it must hold.

    :param folder: Its folder.
    :param state: What the finished operations made.
    :param pending: What was under way.
    :param leave: Whether to open a copy only.
    :returns: What it holds, and what is wrong.
    """
    if not folder.exists():
        return state, [] if not state else ["the folder is gone"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(shutil.copytree(folder, Path(name) / "copy")) if leave else folder
        with FaissDocumentStore(place) as store:
            if not store.exists():  # killed before its first write
                return state, ["the store is gone"] if state else []
            damage = store.verify().database_problems
            state, failures = examine(store, state, pending)
            return state, damage + failures


def examine(store: FaissDocumentStore, state: State, pending: list[Any] | None) -> tuple[State, list[str]]:
    """As `check`, of an open store."""
    passages = store.filter_documents()
    allowed = [state] if pending is None else [state, after(state, pending)]
    held: State = {}
    for document in passages:
        version, count = held.get(document.meta["batch"], (document.meta["version"], 0))
        held[document.meta["batch"]] = (version, count + 1)
    failures = [] if held in allowed else [f"holds {held}, expected one of {allowed}"]
    failures += [
        f"passage {document.id} has changed"
        for document in passages
        if document != passage(document.meta["batch"], document.meta["version"], document.meta["n"])
    ]
    nearest = {document.id for document in store.embedding_retrieval([1.0] * DIM, top_k=100_000)} if passages else set()
    words = {document.id for document in store.bm25_retrieval("word", top_k=100_000)}
    ids = {document.id for document in passages}
    failures += (
        [] if nearest == ids else [f"dense search finds {len(nearest)} of {len(ids)}, {len(nearest - ids)} more"]
    )
    failures += [] if words == ids else [f"BM25 finds {len(words)} of {len(ids)}, {len(words - ids)} more"]
    store.close()
    verified = store.verify()
    failures += verified.database_problems + verified.index_problems
    return (held if held in allowed else state), failures


# Truncated files


def cut_off() -> list[str]:
    """Cut every file of a store off in the middle, one at a time, and open it."""
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        state: State = {}
        with FaissDocumentStore(whole) as store:
            for batch in range(1, 30):
                perform(store, ["write", batch, 1, 40])
                state[batch] = (1, 40)
            time.sleep(1)  # until tantivy has merged
            shutil.copytree(whole, Path(name) / "open")  # with a log, and without the files that are made at the end
        print("\n| cut off | half is left | nothing is left | it is gone |\n| --- | --- | --- | --- |")
        for state_of in ("whole", "open"):
            for path in sorted(path for path in (Path(name) / state_of).rglob("*") if path.is_file()):
                relative = path.relative_to(Path(name) / state_of)
                if path.name.startswith((".", "writer")) or (state_of == "open" and "wal" not in path.name):
                    continue
                outcomes = []
                for kept in (0.5, 0.0, None):
                    copy = Path(shutil.copytree(Path(name) / state_of, Path(name) / "copy"))
                    outcome, found = outcome_of(copy, relative, kept, state)
                    outcomes.append(outcome)
                    failures += [f"{relative} cut off at {kept}: {failure}" for failure in found]
                    shutil.rmtree(copy)
                print(f"| {relative} | {' | '.join(outcomes)} |", flush=True)
    return failures


def outcome_of(folder: Path, file: Path, kept: float | None, state: State) -> tuple[str, list[str]]:
    """What a store does when one of its files is cut off."""
    path = folder / file
    if kept is None:
        path.unlink()
    else:
        os.truncate(path, int(path.stat().st_size * kept))
    store = FaissDocumentStore(folder)
    try:
        if not store.exists():
            store.write_documents([passage(1, 1, 1)])
        failures = examine(store, state, None)[1]
    except LodestoneError as error:
        refused = "damaged" in str(error) and "restore" in str(error)
        return "refused with advice", [] if refused and "sqlite" in path.name else [f"refused: {error}"]
    finally:
        store.close()
    if path.name.endswith("-wal"):
        return "the end is lost", [failure for failure in failures if not failure.startswith("holds")]
    return "made again" if not failures else "WRONG", failures


# A full disk


def fill_the_disk() -> list[str]:
    """Write until nothing fits, at several fillings; then make room and go on."""
    failures: list[str] = []
    print(f"\n| free at the start | batches written | message | searching | room made |\n|{' --- |' * 5}")
    for free in (11_000, 6_000, 3_000, 1_500, 600, 200):
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", name], check=True)
            try:
                failures += write_until_full(Path(name), free)
            finally:
                subprocess.run(["umount", "-l", name], check=True)
    return failures


def write_until_full(disk: Path, free: int) -> list[str]:
    """One filling.

    :param disk: Its folder.
    :param free: kB to leave free for the store.
    """
    filler, folder = disk / "filler", disk / "store"
    filler.write_bytes(b"\0" * (12_000_000 - free * 1000))
    state: State = {}
    pending, message, searching = None, "none", "not tried"
    store = FaissDocumentStore(folder)
    for batch in range(1, 2000):
        pending = ["write", batch, 1, 40]
        try:
            perform(store, pending)
            state = after(state, pending)
            if batch % 5 == 0:
                pending = None
                store.save()
        except LodestoneError as error:
            message = str(error).replace(str(disk), "...")
            break
    failures = [] if "no space is left on the disk" in message else [f"{free} kB: the message is {message!r}"]
    try:
        store.close()
        searching = search_while_full(store, len(state))
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        state, found = examine(store, state, pending)
        failures += [f"{free} kB: {failure}" for failure in found]
        batch = max(state, default=0) + 1
        perform(store, ["write", batch, 1, 40])
        store.close()
        found = examine(store, after(state, ["write", batch, 1, 40]), None)[1]
        failures += [f"{free} kB, after making room: {failure}" for failure in found]
    except Exception as error:
        failures.append(f"{free} kB: {type(error).__name__}: {error}")
    finally:
        store.close()
    outcome = "work goes on" if not failures else "WRONG"
    print(f"| {free:,} kB | {len(state)} | {message} | {searching} | {outcome} |", flush=True)
    return failures


def search_while_full(store: FaissDocumentStore, batches: int) -> str:
    """Open the store again on the full disk, and search."""
    try:
        found = store.bm25_retrieval("word", top_k=100_000), store.embedding_retrieval([1.0] * DIM, top_k=100_000)
        return "works" if {len(documents) for documents in found} == {batches * 40} else "finds not all"
    except LodestoneError as error:
        return str(error)


if __name__ == "__main__":
    main()
