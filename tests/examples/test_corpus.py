"""The example corpus: its questions fit its documents, and its binary files can be made again."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from haystack.components.converters import (
    CSVToDocument,
    DOCXToDocument,
    HTMLToDocument,
    MarkdownToDocument,
    PPTXToDocument,
    PyPDFToDocument,
    TextFileToDocument,
    XLSXToDocument,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CORPUS = EXAMPLES / "corpus"
DOCUMENTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())
QUESTIONS = [json.loads(line) for line in (EXAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
ANSWERABLE = [question for question in QUESTIONS if question["answerable"]]

CONVERTERS = {
    ".csv": CSVToDocument,
    ".docx": DOCXToDocument,
    ".html": HTMLToDocument,
    ".pdf": PyPDFToDocument,
    ".pptx": PPTXToDocument,
    ".rst": TextFileToDocument,
    ".txt": TextFileToDocument,
    ".xlsx": XLSXToDocument,
}


def text_of(path: Path) -> str:
    """The text of a document as Haystack's converter for its type gives it."""
    if path.suffix == ".jsonl":
        rows = path.read_text(encoding="utf-8").splitlines()
        return "\n".join(json.loads(row)["content"] for row in rows)
    converter = MarkdownToDocument(progress_bar=False) if path.suffix == ".md" else CONVERTERS[path.suffix]()
    return "\n".join(document.content for document in converter.run(sources=[path])["documents"])


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Path within the corpus -> text."""
    return {path.relative_to(CORPUS).as_posix(): text_of(path) for path in DOCUMENTS}


@pytest.fixture(scope="module")
def maker() -> Any:
    """`examples/make_corpus.py` as a module; it is a script outside every package."""
    # pypdf and the Office libraries come with Lodestone; reportlab is for those who change the corpus.
    pytest.importorskip("reportlab", reason="reportlab is not installed (pip install -e '.[dev]')")
    spec = importlib.util.spec_from_file_location("make_corpus", EXAMPLES / "make_corpus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_the_corpus_has_enough_documents_and_formats() -> None:
    assert len(DOCUMENTS) >= 25
    assert len({path.suffix for path in DOCUMENTS}) >= 6
    assert sum(path.suffix == ".pdf" for path in DOCUMENTS) >= 3
    assert sum(path.stat().st_size for path in DOCUMENTS) < 1_000_000


def test_there_are_60_questions_of_which_12_have_no_answer() -> None:
    assert len(QUESTIONS) == 60
    assert len(ANSWERABLE) == 48
    assert len({question["id"] for question in QUESTIONS}) == 60
    assert len({question["question"] for question in QUESTIONS}) == 60
    for question in QUESTIONS:
        assert set(question) == {"id", "question", "answers", "file", "answerable"}
        assert bool(question["answers"]) is question["answerable"]
        assert (question["file"] is not None) is question["answerable"]


def test_every_document_answers_a_question() -> None:
    asked = Counter(question["file"] for question in ANSWERABLE)
    assert set(asked) == {path.relative_to(CORPUS).as_posix() for path in DOCUMENTS}


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_each_answer_stands_in_its_document(question: dict[str, Any], texts: dict[str, str]) -> None:
    for answer in question["answers"]:
        assert answer in texts[question["file"]]


def test_the_script_makes_the_same_documents_again(maker: Any, texts: dict[str, str], tmp_path: Path) -> None:
    made = maker.make_corpus(tmp_path)
    assert {path.suffix for path in made} == {".pdf", ".docx", ".pptx", ".xlsx"}
    for path in made:
        assert text_of(path) == texts[path.relative_to(tmp_path).as_posix()], path.name


def test_the_script_gives_the_same_bytes_twice(maker: Any, tmp_path: Path) -> None:
    for first, second in zip(maker.make_corpus(tmp_path / "a"), maker.make_corpus(tmp_path / "b"), strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name
