"""How fast a job indexes, what it needs of memory, and what a run over unchanged files costs.

    python benchmarks/index_speed.py --data FOLDER [--workers N] [--own]
    python benchmarks/index_speed.py --documents 10000 [50000 ...] [--workers N] [--pipeline P]

With --data, the passages a second of a job over FOLDER, against three others over the same passages:

- our own embedder, the passages in memory already: what is lost to converting, splitting and writing;
- `SentenceTransformer.encode` as it comes, the passages in memory already;
- a plain Haystack pipeline of the same converters, cleaner, splitter and writer with sentence-transformers in it, run
  file by file.

`--own` leaves out the last two, which take long over a large folder.

With --documents, so many generated texts of about 100 words are indexed by `lodestone index`, and then again,
unchanged; printed are the files and passages a second, and the job's and its largest worker's peak memory. The job's is
said in two parts: what it has allocated, looked at ten times a second, and what is at most in memory of files that it
has mapped, libraries and the index of words, which the system takes back when it needs the room. `--pipeline` may name
a definition without an embedder, whose memory shows what the job itself needs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from haystack import Document, Pipeline, component

from lodestone.components.passages import searchable_text
from lodestone.indexing import IndexingJob, Settings
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder

WORDS = """
the ferry harbour timetable crossing passengers vehicles weather forecast captain engine deck cabin island freight
office ticket season refund luggage bicycle livestock safety drill lifeboat lantern quay tide current morning evening
departs arrives cancelled delayed every other week before after during winter summer of and to in for with
"""

# Runs the command line, and prints peaks of memory in the end. Not by getrusage for the process itself: that begins
# with what this one had when it started it.
WATCHED = """
import json, resource, threading, time
from lodestone.commands import main
peaks = {"RssAnon": 0, "RssFile": 0, "VmHWM": 0}
def look():
    with open("/proc/self/status") as status:
        values = dict(line.split(":", 1) for line in status)
    for name in peaks:
        peaks[name] = max(peaks[name], int(values[name].split()[0]) // 1024)
def watch():
    while True:
        look()
        time.sleep(0.1)
threading.Thread(target=watch, daemon=True).start()
try:
    main()
finally:
    look()
    print(json.dumps({**peaks, "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024}))
"""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder of files to index")
    what.add_argument("--documents", type=int, nargs="+", help="numbers of documents to generate")
    parser.add_argument("--own", action="store_true", help="compare with our own embedder only")
    parser.add_argument("--workers", type=int, help="processes that convert")
    parser.add_argument("--pipeline", default="indexing_faiss")
    parser.add_argument("--batch-passages", type=int, default=Settings().batch_passages)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is not None:
            compare(arguments.data, Path(folder), arguments)
        else:
            for documents in arguments.documents:
                measure(documents, Path(folder) / str(documents), arguments)


def compare(data: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """A job against what it is made of, and against others."""
    stages = cut_at_embedder(load_pipeline(arguments.pipeline, index=folder / "ours"))
    stages.embedder.warm_up()
    settings = Settings(workers=arguments.workers, batch_passages=arguments.batch_passages)
    report = IndexingJob(stages, settings=settings).run([data])
    passages = stages.document_store.filter_documents()
    stages.document_store.close()
    count = len(passages)
    print(f"{report.indexed} of {report.files} files, {count:,} passages, {settings.processes} workers")
    print(f"{'':42}seconds  passages/s    job is")
    show("lodestone index", report.seconds, count, report.seconds)
    texts = [searchable_text(passage) for passage in passages]
    random.Random(0).shuffle(texts)
    show("our embedder, passages in memory", timed(lambda: stages.embedder.embed(texts)), count, report.seconds)
    if arguments.own:
        return
    model = sentence_transformer(stages.embedder.model)
    show("SentenceTransformer.encode", timed(lambda: model.encode(texts)), count, report.seconds)
    plain = plain_pipeline(model, folder / "plain", arguments.pipeline)
    files = sorted(path for path in data.rglob("*") if path.is_file())
    show("plain Haystack pipeline, file by file", timed(lambda: run_plain(plain, files)), count, report.seconds)


def show(name: str, seconds: float, passages: int, ours: float) -> None:
    """One line of the table: the last column is the job's speed as a multiple of this one's."""
    print(f"{name:42}{seconds:7.1f}{passages / seconds:12.0f}{seconds / ours:9.2f}x", flush=True)


def timed(work: Any) -> float:
    """Seconds that something takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def sentence_transformer(model: str) -> Any:
    """The embedding model as sentence-transformers runs it by default."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    from lodestone.components.models import resolve_model

    disable_progress_bar()
    return SentenceTransformer(str(resolve_model(model)), device="cpu")


@component
class PlainEmbedder:
    """Embeds documents by `SentenceTransformer.encode`, as Haystack's own component does."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Embed documents."""
        vectors = self._model.encode([searchable_text(document) for document in documents], batch_size=32)
        for document, vector in zip(documents, vectors, strict=True):
            document.embedding = vector.tolist()
        return {"documents": documents}


def plain_pipeline(model: Any, index: Path, definition: str) -> Pipeline:
    """The indexing pipeline with sentence-transformers in the place of our embedder."""
    pipeline = load_pipeline(definition, index=index)
    pipeline.remove_component("embedder")
    pipeline.add_component("embedder", PlainEmbedder(model))
    pipeline.connect("splitter.documents", "embedder.documents")
    pipeline.connect("embedder.documents", "writer.documents")
    return pipeline


def run_plain(pipeline: Pipeline, files: list[Path]) -> None:
    """Index file by file; what a file breaks is left out."""
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for file in files:
        try:
            pipeline.run({"router": {"sources": [file]}})
        except Exception as error:  # a file that cannot be read is no part of the comparison
            print(f"  (not read by the plain pipeline: {file.name}: {type(error).__name__})")


def measure(documents: int, folder: Path, arguments: argparse.Namespace) -> None:
    """Index generated documents twice, each time in a process of its own."""
    generate(documents, folder / "docs")
    title = f"{documents:,} documents"
    print(f"{title:23}  seconds   files/s  passages/s  job MiB  allocated  mapped  worker MiB")
    for name in ("first run", "second run, unchanged"):
        report, peaks = index(folder / "docs", folder / "index", arguments)
        seconds = report["seconds"]
        rates = f"{seconds:9.1f}{report['files'] / seconds:10.0f}{report['passages'] / seconds:12.0f}"
        memory = f"{peaks['VmHWM']:9}{peaks['RssAnon']:11}{peaks['RssFile']:8}{peaks['worker']:12}"
        print(f"{name:23}{rates}{memory}", flush=True)


def generate(documents: int, folder: Path) -> None:
    """Write texts of about 100 words, a thousand a folder."""
    chance, words = random.Random(0), WORDS.split()
    for number in range(documents):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04}").mkdir(parents=True)
        text = " ".join(chance.choices(words, k=100))
        (folder / f"{number // 1000:04}" / f"{number:07}.txt").write_text(f"Report {number}\n\n{text}.\n")


def index(data: Path, folder: Path, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, int]]:
    """Run the command: its report, and its peaks of memory in MiB."""
    options = ["--json", "--index", str(folder), "--pipeline", arguments.pipeline]
    options += ["--workers", str(arguments.workers)] if arguments.workers is not None else []
    command = [sys.executable, "-c", WATCHED, "index", str(data), *options]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
    report, peaks = map(json.loads, output.splitlines()[-2:])
    return report, peaks


if __name__ == "__main__":
    main()
