"""The corpus that comes with the data, as files that an indexing pipeline reads."""

import json
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path

from haystack import Document

# Names, in the metadata of its passages, the text of the data's corpus that a passage was cut from.
ENTRY = "evaluation_entry"
# A file is indexed whole or, when the run is killed, again.
_RECORDS_A_FILE = 100


def write_corpus(texts: Iterable[tuple[str, str]], folder: Path) -> None:
    """Write texts as JSON lines, 100 a file.

    :param texts: Name and text of each.
    :param folder: Where to; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remaining = iter(texts)
    for number in count():
        records = [{"content": text, ENTRY: name} for name, text in islice(remaining, _RECORDS_A_FILE)]
        if not records:
            return
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{number:06}.jsonl").write_text(lines, encoding="utf-8")


def origin(passage: Document | None) -> str | None:
    """The text of the data's corpus that a passage was cut from; else the path of its document, where it has one.

    :param passage: The passage.
    """
    return None if passage is None else passage.meta.get(ENTRY, passage.meta.get("source"))
