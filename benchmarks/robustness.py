"""What becomes of awkward files: each is indexed, or named with a reason, and none takes long or much memory.

    python benchmarks/robustness.py --data FOLDER [--seconds 30] [--verbose]

FOLDER holds files of any kind; ours were collected from the test data of Haystack, Apache Tika, unstructured,
kreuzberg, pypdf and pdfminer. Each is also given to Haystack's own converter for its type, in this process: what that
can read must have been indexed. Exit status 1 if something was not, a file took longer than it may, or anything was
printed besides.
"""

import argparse
import contextlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from haystack.components import converters

from lodestone import FaissDocumentStore

OWN_CONVERTERS: dict[str, Any] = {
    ".pdf": converters.PyPDFToDocument,
    ".html": converters.HTMLToDocument,
    ".docx": converters.DOCXToDocument,
    ".pptx": converters.PPTXToDocument,
    ".xlsx": converters.XLSXToDocument,
    ".csv": converters.CSVToDocument,
    ".md": converters.MarkdownToDocument,
    ".txt": converters.TextFileToDocument,
}


def main() -> None:
    """Index the folder, compare with Haystack's converters, print what became of the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30, help="the most that one file may take")
    parser.add_argument("--verbose", action="store_true", help="print every file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report, stderr, seconds = index(arguments.data, Path(folder) / "index")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        with FaissDocumentStore(str(Path(folder) / "index")) as store:
            indexed = {record.path for record in store.sources() if record.state == "indexed"}
    named = {entry["path"]: entry["reason"] for entry in [*report["failed"], *report["skipped"]]}
    if arguments.verbose:
        for path in sorted(indexed):
            print(f"indexed  {path}")
    for path, reason in sorted(named.items()):
        print(f"named    {Path(path).relative_to(arguments.data)}: {reason}")
    lost = sorted(path for path in readable(arguments.data) if path not in indexed)
    unnamed = [
        path for path in files(arguments.data) if path not in indexed and str(arguments.data / path) not in named
    ]
    slow = [entry for entry in report["slowest"] if entry["seconds"] > arguments.seconds]
    print(f"\nfiles                                   {report['files']}")
    print(f"indexed                                 {len(indexed)} ({report['passages']:,} passages)")
    print(f"named with a reason                     {len(named)}")
    print(f"neither                                 {len(unnamed)} {unnamed or ''}")
    print(f"readable by Haystack and not indexed    {len(lost)} {lost or ''}")
    print(f"seconds, all                            {seconds:.1f}")
    for entry in report["slowest"][:3]:
        print(f"slowest                                 {entry['seconds']:.1f} s {Path(entry['path']).name}")
    print(f"largest process, MiB                    {peak}")
    print(f"lines on stderr                         {len(stderr.splitlines())}")
    for reason, count in Counter(named.values()).most_common(8):
        print(f"  {count:3}  {reason}")
    sys.exit(1 if lost or unnamed or slow or stderr else 0)


def index(data: Path, folder: Path) -> tuple[dict[str, Any], str, float]:
    """Run the command; its report, what it printed on stderr, and its seconds."""
    started = time.monotonic()
    command = [sys.executable, "-m", "lodestone", "index", str(data), "--index", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"lodestone index exited with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]), done.stderr, time.monotonic() - started


def files(data: Path) -> list[str]:
    """The files of the folder, relative to it."""
    return sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())


def readable(data: Path) -> list[str]:
    """Files of which Haystack's own converters make a text."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found = []
    for name in files(data):
        make = OWN_CONVERTERS.get(Path(name).suffix.lower())
        if make is None:
            continue
        with contextlib.suppress(Exception):
            converter = make(progress_bar=False) if make is converters.MarkdownToDocument else make()
            documents = converter.run(sources=[data / name])["documents"]
            found += [name] if any((document.content or "").strip() for document in documents) else []
    return found


if __name__ == "__main__":
    main()
