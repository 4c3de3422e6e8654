import json
from pathlib import Path

import pytest
from haystack import Document, Pipeline, component
from haystack.dataclasses import ExtractedAnswer

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.corpus import ENTRY, write_corpus
from lodestone.evaluation.qa import Asked, _as_words, evaluate_qa, read_qa


def lines(folder: Path, *entries: object) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), encoding="utf-8")
    return file


def test_lines_are_read_by_either_name_of_their_entries(tmp_path: Path) -> None:
    data = read_qa(
        lines(
            tmp_path,
            {"id": "a", "question": "Who?", "answers": ["Ida\u2028Holm", "Holm"], "file": "b.md"},
            {"query": "When?", "answer": "1911", "source": "c.md"},
            {"id": 3, "question": "Why?", "answer": None, "file": "d.md", "answerable": False},
            {"id": None, "question": "How?"},
        )
    )
    assert data.questions == [
        Asked("a", "Who?", ("Ida\u2028Holm", "Holm"), "b.md"),
        Asked("line 2", "When?", ("1911",), "c.md"),
        Asked("3", "Why?", (), None),
        Asked("line 4", "How?", (), None),
    ]
    assert not data.paragraphs


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ([], "must be a JSON object"),
        ({"answers": []}, "`question` must be a question, got None"),
        ({"question": "  "}, "`question` must be a question, got '  '"),
        ({"question": "Who?", "answers": [1]}, r"`answers` must be a list of texts, got \[1\]"),
        ({"question": "Who?", "answerable": True}, "it is `answerable`, but `answers` is empty"),
        ({"question": "Who?", "answer": "Holm", "file": 3}, "`file` must be a path in the corpus, got 3"),
        ({"id": "a", "question": "Who?"}, "the id 'a' is that of line 1"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, entry: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"questions\.jsonl:2: .*{says}"):
        read_qa(lines(tmp_path, {"id": "a", "question": "Who?"}, entry))


def test_files_that_hold_no_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no questions"):
        read_qa(lines(tmp_path))
    with pytest.raises(ConfigurationError, match=r"gone\.jsonl cannot be read: No such file"):
        read_qa(tmp_path / "gone.jsonl")
    (tmp_path / "bad.jsonl").write_text('\n{"question": \n')
    with pytest.raises(ConfigurationError, match=r"bad\.jsonl:2: not JSON"):
        read_qa(tmp_path / "bad.jsonl")
    (tmp_path / "half.jsonl").write_text('{"question": "\\ud800?"}')
    with pytest.raises(ConfigurationError, match=r"half\.jsonl:1: holds half a surrogate pair"):
        read_qa(tmp_path / "half.jsonl")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(ConfigurationError, match=r"deep\.jsonl:1: not JSON"):
        read_qa(tmp_path / "deep.jsonl")


def test_the_paragraphs_of_a_squad_file_are_its_corpus_each_once(tmp_path: Path) -> None:
    paragraphs = [
        {"context": "Holm.", "qas": [{"id": "a", "question": "Who?", "answers": [{"text": "Holm"}]}]},
        {"context": "1911.", "qas": [{"id": "b", "question": "Why?", "answers": []}]},
        {"context": "Holm.", "qas": [{"id": "c", "question": "Whose?", "answers": [{"text": "Holm"}]}]},
    ]
    (tmp_path / "squad.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    data = read_qa(tmp_path / "squad.json")
    assert data.paragraphs == {"paragraph 0": "Holm.", "paragraph 1": "1911."}
    assert [asked.source for asked in data.questions] == ["paragraph 0", None, "paragraph 0"]
    paragraphs[1]["qas"][0]["question"] = " "  # type: ignore[index]
    (tmp_path / "squad.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    with pytest.raises(ConfigurationError, match=r"squad\.json: question 'b' has no text"):
        read_qa(tmp_path / "squad.json")


def test_a_corpus_is_written_in_files_of_a_hundred_texts(tmp_path: Path) -> None:
    write_corpus(((str(number), f"text {number}\n") for number in range(101)), tmp_path / "corpus")
    first, second = sorted((tmp_path / "corpus").iterdir())
    assert len(first.read_text().splitlines()) == 100
    assert json.loads(second.read_text()) == {"content": "text 100\n", ENTRY: "100"}


@component
class FixedRetriever:
    """Gives three passages, the second of which answers."""

    def __init__(self, document_store: "FixedStore") -> None:
        self.document_store = document_store

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int = 10) -> dict[str, list[Document]]:
        texts = [("nothing", "a.md"), ("built by\nthe Ida Holm!", "b.md"), ("Ida Holmes", "c.md")]
        return {"documents": [Document(content=text, meta={"source": source}) for text, source in texts][:top_k]}


@component
class StorelessRetriever:
    """Gives passages that are in no store."""

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        return FixedRetriever(FixedStore()).run(query)


class FixedStore:
    """A store with as many passages as it is said to have."""

    def __init__(self) -> None:
        self.passages = 3

    def to_dict(self) -> dict[str, object]:
        return {"type": "FixedStore", "init_parameters": {}}

    def count_documents(self) -> int:
        return self.passages


@component
class FixedReader:
    """Quotes the second passage, unless it is asked when; counts what it was asked."""

    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    @component.output_types(answers=list[ExtractedAnswer])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[ExtractedAnswer]]:
        self.asked.append(query)
        if query == "stop":
            raise KeyboardInterrupt
        meta = {"calibrated": True}
        quote = ExtractedAnswer(query=query, score=0.7, data="Ida Holm", document=documents[1], meta=meta)
        none = ExtractedAnswer(query=query, score=0.3, data=None, meta=meta)
        return {"answers": [quote, none]}


def fixed_pipeline(store: FixedStore | None, reader: object) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("retriever", StorelessRetriever() if store is None else FixedRetriever(store))
    pipeline.add_component("reader", reader)  # type: ignore[arg-type]
    pipeline.connect("retriever.documents", "reader.documents")
    return pipeline


def test_ranks_are_those_of_the_answer_as_whole_words_and_of_the_document(tmp_path: Path) -> None:
    file = lines(
        tmp_path,
        {"question": "Who?", "answers": ["ida holm"], "file": "c.md"},
        {"question": "Whose?", "answers": ["Lind"], "file": "z.md"},
        {"question": "Why?", "answers": []},
    )
    result = evaluate_qa(file, read_qa(file), fixed_pipeline(FixedStore(), FixedReader()))
    ranks = [(each["answer_rank"], each["source_rank"]) for each in result.questions]
    assert ranks == [(2, 3), (None, None), (None, None)]
    assert result.questions[0]["guesses"] == ({"text": "Ida Holm", "score": 0.7, "source": "b.md"},)
    assert result.metrics["answer_recall@3"] == 0.5
    assert result.settings["passages"] == 3


def test_where_words_are_not_spaced_apart_an_answer_is_found_within_them() -> None:
    assert _as_words("ida holm") == " ida holm "
    assert _as_words("北京") in " 北京是中国的首都 "
    assert _as_words("11 月") in " 1911 年 11 月11日 "


def test_a_pipeline_without_a_store_is_asked_too(tmp_path: Path) -> None:
    file = lines(tmp_path, {"question": "Who?", "answer": "Ida Holm"})
    result = evaluate_qa(file, read_qa(file), fixed_pipeline(None, FixedReader()))
    assert result.settings["passages"] is None
    assert result.metrics["exact"] == 100


def test_a_stopped_run_is_taken_up_unless_the_index_has_changed(tmp_path: Path) -> None:
    # The reader is asked question by question, the file is written batch by batch.
    entries = [{"question": f"Who is {number}?"} for number in range(64)]
    file = lines(tmp_path, *entries, {"question": "stop"})
    store, options = FixedStore(), {"partial": tmp_path / "partial"}
    with pytest.raises(KeyboardInterrupt):
        evaluate_qa(file, read_qa(file), fixed_pipeline(store, FixedReader()), **options)
    reader = FixedReader()
    with pytest.raises(KeyboardInterrupt):
        evaluate_qa(file, read_qa(file), fixed_pipeline(store, reader), **options)
    assert reader.asked == ["stop"]
    store.passages = 4
    with pytest.raises(KeyboardInterrupt):
        evaluate_qa(file, read_qa(file), fixed_pipeline(store, reader), **options)
    assert len(reader.asked) == 1 + 64 + 1
