import asyncio
import json
import math
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from haystack import Document, Pipeline
from haystack.dataclasses import ExtractedAnswer
from haystack.utils import ComponentDevice
from reader_reference import read
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, BertConfig, RobertaConfig

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import resolve_model

LIGHTHOUSE = "The lighthouse of Varnholm was built by Ida Holm in 1911. It is 34 metres tall and has 181 steps."
PASSAGES = [
    LIGHTHOUSE,
    "The harbour opens at six in the morning and closes at ten in the evening, except on public holidays. " * 12,
    "Ferries leave every forty minutes. A single ticket costs 12 crowns; children under seven travel free.",
    "In winter the museum is closed. Its collection of compasses was given by the widow of Captain Lind. " * 6,
]
SHIPPED = resolve_model("lodestone/reader-minilm") / "calibration.json"


@pytest.fixture(scope="module")
def reader() -> ExtractiveReader:
    reader = ExtractiveReader()
    reader.warm_up()
    return reader


@pytest.fixture(scope="module")
def bare_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled reader without its calibration, as a model from elsewhere would be."""
    folder = tmp_path_factory.mktemp("model") / "reader"
    shutil.copytree(resolve_model("lodestone/reader-minilm"), folder)
    (folder / "calibration.json").unlink(missing_ok=True)
    return folder


def texts(answers: list[ExtractedAnswer]) -> list[str | None]:
    return [answer.data for answer in answers]


def test_the_answer_is_an_exact_quote_with_its_place_and_context(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES]
    answer = reader.run("Who built the lighthouse?", documents)["answers"][0]

    assert answer.data == "Ida Holm"
    assert answer.document is not None
    assert answer.document.content == LIGHTHOUSE
    assert answer.document_offset is not None
    assert LIGHTHOUSE[answer.document_offset.start : answer.document_offset.end] == "Ida Holm"
    assert answer.context is not None
    assert answer.context_offset is not None
    assert answer.context[answer.context_offset.start : answer.context_offset.end] == "Ida Holm"
    assert 0.5 < answer.score <= 1
    assert answer.meta["calibrated"] is True


def test_scores_of_all_answers_and_no_answer_are_one_distribution_in_order(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES]
    answers = reader.run("What does a ticket cost?", documents, top_k=10_000)["answers"]

    assert answers[0].data == "12 crowns"
    assert 0.8 < sum(answer.score for answer in answers) <= 1
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)
    assert texts(answers).count(None) == 1


def test_no_answer_comes_first_exactly_where_it_is_likelier_than_there_being_one(reader: ExtractiveReader) -> None:
    questions = ["What does a ticket cost?", "How tall is it?", "Who gave the compasses?", "Which king was crowned?"]
    documents = [Document(content=text) for text in PASSAGES]
    first = set()
    for question in questions:
        answers = reader.run(question, documents)["answers"]
        none = next(answer.score for answer in answers if answer.data is None)
        assert (answers[0].data is None) == (none > 0.5)
        first.add(answers[0].data is None)
    assert first == {True, False}


def test_a_question_that_no_passage_answers_has_no_answer_first(reader: ExtractiveReader) -> None:
    answers = reader.run("Who painted the Mona Lisa?", [Document(content=LIGHTHOUSE)])["answers"]
    assert answers[0].data is None
    assert answers[0].document is None
    assert answers[0].score > 0.5


@pytest.mark.parametrize(("length", "stride"), [(384, 128), (64, 16), (40, 0)])
def test_the_bundled_reader_gives_the_spans_of_plain_transformers_code(
    bare_folder: Path, length: int, stride: int
) -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(bare_folder, dtype="float32").eval()
    assert_spans_equal(bare_folder, model, length, stride)


@pytest.mark.parametrize("family", ["roberta-base", "bert-base-cased"])
def test_other_families_give_the_spans_of_plain_transformers_code(family: str, shared: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(shared / "tokenizers" / family)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if family == "roberta-base":
        config = RobertaConfig(max_position_embeddings=130, type_vocab_size=1, **sizes)
    else:
        config = BertConfig(max_position_embeddings=128, initializer_range=0.4, **sizes)
    model = AutoModelForQuestionAnswering.from_config(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert_spans_equal(tmp_path, model, 128, 32)
    # A longer window than the model has positions for is cut to what it has.
    assert_spans_equal(tmp_path, model, 128, 32, asked_length=384)


def assert_spans_equal(folder: Path, model: object, length: int, stride: int, asked_length: int | None = None) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    question = "When does the harbour close, and who gave the compasses?"
    reader = ExtractiveReader(
        str(folder),
        max_seq_length=asked_length or length,
        stride=stride,
        overlap_threshold=None,
        no_answer=False,
        precision="float32",
    )
    for passage in PASSAGES:
        answers = reader.run(question, [Document(content=passage)], top_k=1_000_000)["answers"]
        best: dict[tuple[int, int], float] = {}
        for margin, start, end in read(model, tokenizer, question, passage, length, stride, longest=30, count=20):
            quote = passage[start:end]
            place = (start + len(quote) - len(quote.lstrip()), start + len(quote.rstrip()))
            best[place] = max(margin, best.get(place, -1e9))
        ours = {(a.document_offset.start, a.document_offset.end): a.score for a in answers if a.document_offset}
        assert ours.keys() == best.keys()
        assert [ours[place] for place in best] == pytest.approx(list(best.values()), abs=2e-4)


def test_a_reader_without_a_calibration_gives_raw_margins_and_says_so(
    bare_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ExtractiveReader(str(bare_folder))
    answers = reader.run("Who built the lighthouse?", [Document(content=LIGHTHOUSE)])["answers"]

    assert reader.calibrated is False
    assert "no calibration" in caplog.text
    assert answers[0].score == answers[0].meta["margin"]
    assert all(answer.meta["calibrated"] is False for answer in answers)
    assert next(answer.score for answer in answers if answer.data is None) == 0


def test_a_calibration_for_other_weights_is_left_aside(bare_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bare_folder, tmp_path / "reader")
    (tmp_path / "reader" / "calibration.json").write_text(
        json.dumps(json.loads(SHIPPED.read_text()) | {"weights_sha256": "0" * 64})
    )
    reader = ExtractiveReader(str(tmp_path / "reader"))
    reader.warm_up()
    assert reader.calibrated is False


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1, "scale": 1, "offset": 0}',
        SHIPPED.read_text().replace('"margin"', '"margins"'),
        SHIPPED.read_text().replace('"log_rank": ', '"log_rank": 1e999, "unused": '),
    ],
)
def test_a_malformed_calibration_file_is_refused_with_its_name(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"mine\.json"):
        ExtractiveReader(calibration=str(file)).warm_up()


def test_the_same_quote_in_overlapping_passages_is_one_place(reader: ExtractiveReader) -> None:
    text = LIGHTHOUSE + " " + PASSAGES[2]
    cut = text.index("It is 34")
    documents = [
        Document(id="a", content=text[:150], meta={"source_id": "d", "split_idx_start": 0}),
        Document(id="b", content=text[cut:], meta={"source_id": "d", "split_idx_start": cut}),
    ]
    answers = reader.run("How tall is the lighthouse?", documents)["answers"]

    assert answers[0].data in ("34 metres", "34 metres tall")
    assert len(answers[0].meta["evidence"]) == 1
    assert text[answers[0].meta["start"] : answers[0].meta["end"]] == answers[0].data
    context = text[answers[0].meta["context_start"] : answers[0].meta["context_end"]]
    assert context == answers[0].context
    assert texts(answers).count(answers[0].data) == 1


def test_the_same_quote_in_two_documents_is_one_answer_with_two_places(reader: ExtractiveReader) -> None:
    documents = [
        Document(id="a", content=LIGHTHOUSE, meta={"source": "a.txt"}),
        Document(
            id="b", content="Everybody knows that the lighthouse was built by IDA HOLM.", meta={"source": "b.txt"}
        ),
    ]
    answer = reader.run("Who built the lighthouse?", documents)["answers"][0]
    assert {place["source"] for place in answer.meta["evidence"]} == {"a.txt", "b.txt"}
    assert {place["text"] for place in answer.meta["evidence"]} == {"Ida Holm", "IDA HOLM"}


def test_the_page_is_that_of_the_answer_not_of_the_passage(reader: ExtractiveReader) -> None:
    document = Document(content="Ferries leave every forty minutes.\f" + LIGHTHOUSE, meta={"page_number": 7})
    assert reader.run("Who built the lighthouse?", [document])["answers"][0].meta["answer_page_number"] == 8


def test_every_passage_is_read_even_when_the_answer_stands_in_the_last_of_many(reader: ExtractiveReader) -> None:
    documents = [Document(content=f"{PASSAGES[2]} Line {number}.") for number in range(60)]
    documents.append(Document(content="filler words " * 700 + LIGHTHOUSE))
    assert reader.run("Who built the lighthouse?", documents)["answers"][0].data == "Ida Holm"


def test_a_batch_of_questions_gives_what_each_gives_alone(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES]
    queries = ["Who built the lighthouse?", "What does a ticket cost?", "Who painted the Mona Lisa?"]
    lists = [documents, documents[1:], []]
    together = reader.run_batch(queries, lists)["answers"]

    for query, listed, answers in zip(queries, lists, together, strict=True):
        alone = reader.run(query, listed)["answers"]
        assert texts(answers) == texts(alone)
        assert [a.score for a in answers] == pytest.approx([a.score for a in alone], abs=1e-4)


def test_passages_without_text_are_skipped_and_nothing_to_read_is_no_answer(
    reader: ExtractiveReader, caplog: pytest.LogCaptureFixture
) -> None:
    documents = [Document(content=None), Document(content=""), Document(content=" \n"), Document(content=LIGHTHOUSE)]
    assert reader.run("Who built the lighthouse?", documents)["answers"][0].data == "Ida Holm"
    assert "3 of 4 passages hold no text" in caplog.text
    assert [(a.data, a.score) for a in reader.run("Who?", [])["answers"]] == [(None, 1.0)]


@pytest.mark.parametrize(
    "text",
    [
        "😀👩‍👩‍👧 Ida Holm 🏗️ built the lighthouse 😀",
        "بُنيت المنارة على يد Ida Holm وهي built the lighthouse",
        "Ida Holm\u0301 bu\u0308ilt the lighthouse",
        "灯台はIda Holmが建てた。built the lighthouse",
        "x" * 5000 + " built the lighthouse Ida Holm",
        "\x00\u200b\ufeff Ida Holm built the lighthouse \ud7ff",
    ],
)
def test_quotes_are_exact_in_any_script(reader: ExtractiveReader, text: str) -> None:
    for answer in reader.run("Who built the lighthouse?", [Document(content=text)])["answers"]:
        if answer.data is not None:
            assert answer.document_offset is not None
            assert text[answer.document_offset.start : answer.document_offset.end] == answer.data


def test_a_long_question_is_cut_with_a_warning_and_multiplies_no_windows(
    reader: ExtractiveReader, caplog: pytest.LogCaptureFixture
) -> None:
    question = "Who built the lighthouse? " + "really " * 10_000
    assert reader.run(question, [Document(content=LIGHTHOUSE)])["answers"][0].data == "Ida Holm"
    assert "only its first 64 are read" in caplog.text


def test_zero_and_false_are_values(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES]
    strict = ExtractiveReader(score_threshold=0.99, no_answer=True)
    assert len(strict.run("Who built it?", documents, score_threshold=0.0, no_answer=False)["answers"]) > 1
    assert None not in texts(reader.run("Who built it?", documents, no_answer=False)["answers"])
    with pytest.raises(ConfigurationError, match="top_k must be at least 1, got 0"):
        reader.run("Who built it?", documents, top_k=0)
    with pytest.raises(ConfigurationError, match="stride must be at least 0, got -1"):
        ExtractiveReader(stride=-1)


def test_answers_below_the_threshold_are_left_out(reader: ExtractiveReader) -> None:
    answers = reader.run("Who built the lighthouse?", [Document(content=LIGHTHOUSE)], score_threshold=0.5)["answers"]
    assert texts(answers) == ["Ida Holm"]


def test_many_threads_load_the_model_once_and_get_the_same_answer() -> None:
    reader = ExtractiveReader()
    results: list[str | None] = []
    engines = set()

    def ask() -> None:
        answers = reader.run("Who built the lighthouse?", [Document(content=LIGHTHOUSE)])["answers"]
        results.append(answers[0].data)
        engines.add(id(reader._reader))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["Ida Holm"] * 8
    assert len(engines) == 1


def test_it_serializes_what_was_given_and_nothing_of_this_machine() -> None:
    reader = ExtractiveReader(device=ComponentDevice.from_str("cpu"), top_k=3)
    assert reader.to_dict() == {
        "type": "lodestone.components.readers.extractive_reader.ExtractiveReader",
        "init_parameters": {
            "model": "lodestone/reader-minilm",
            "tokenizer": None,
            "device": "cpu",
            "token": {"type": "env_var", "env_vars": ["HF_API_TOKEN", "HF_TOKEN"], "strict": False},
            "top_k": 3,
            "score_threshold": None,
            "max_seq_length": 384,
            "stride": 128,
            "max_query_length": 64,
            "max_answer_length": 30,
            "max_batch_size": None,
            "answers_per_seq": None,
            "no_answer": True,
            "overlap_threshold": 0.01,
            "context_chars": 150,
            "calibration": None,
            "calibration_factor": None,
            "model_kwargs": None,
        },
    }
    assert ExtractiveReader.from_dict(reader.to_dict()).to_dict() == reader.to_dict()
    assert ExtractiveReader().to_dict()["init_parameters"]["device"] is None


def test_it_runs_in_a_haystack_pipeline() -> None:
    pipeline = Pipeline()
    pipeline.add_component("reader", ExtractiveReader(top_k=1))
    data = {"reader": {"query": "Who built the lighthouse?", "documents": [Document(content=LIGHTHOUSE)]}}
    answers = pipeline.run(data)["reader"]["answers"]
    assert answers[0].data == "Ida Holm"


def test_a_model_that_answers_no_questions_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not an extractive reader"):
        ExtractiveReader("sentence-transformers/all-MiniLM-L6-v2").warm_up()


def test_an_unknown_device_is_refused_with_the_ones_that_work() -> None:
    with pytest.raises(ConfigurationError, match=r"device must be 'cpu', 'cuda', .* got 'gpu9'"):
        ExtractiveReader(device="gpu9").warm_up()


def test_the_reader_tells_what_it_read_and_where_the_time_went(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES] + [Document(id="again", content=PASSAGES[0])]
    meta = reader.run("Who built the lighthouse?", documents, max_seq_length=128, stride=32)["meta"]
    assert meta["passages"] == 4
    assert meta["windows"] > 4
    assert meta["timings_ms"].keys() == {"tokenize", "forward", "spans", "merge"}


def test_settings_of_a_call_do_what_those_of_the_reader_do(reader: ExtractiveReader) -> None:
    documents = [Document(content=text) for text in PASSAGES]
    values = {
        "top_k": 50,
        "max_seq_length": 96,
        "stride": 0,
        "max_batch_size": 1,
        "answers_per_seq": 3,
        "overlap_threshold": 0.5,
    }
    called = reader.run("Who built the lighthouse?", documents, **values)["answers"]
    made = ExtractiveReader(**values).run("Who built the lighthouse?", documents)["answers"]
    assert [(a.data, a.score) for a in called] == [(a.data, pytest.approx(a.score, abs=1e-3)) for a in made]


def test_an_explicit_factor_brings_back_the_score_of_the_old_reader() -> None:
    documents = [Document(content=text) for text in PASSAGES]
    reader = ExtractiveReader(calibration_factor=0.1, top_k=3)
    answers = reader.run("Who built the lighthouse?", documents)["answers"]
    given = [answer for answer in answers if answer.data is not None]
    assert len(given) == 3
    none = next(answer.score for answer in answers if answer.data is None)
    assert none == pytest.approx(math.prod(1 - answer.score for answer in given))
    assert all(0 < answer.score < 1 and not answer.meta["calibrated"] for answer in given)
    assert reader.calibrated is False


def test_two_hundred_calls_at_once_answer_as_one_at_a_time(reader: ExtractiveReader) -> None:
    queries = ["Who built the lighthouse?", "What does a ticket cost?", "Who painted the Mona Lisa?"]
    documents = [Document(content=text) for text in PASSAGES]
    alone = {query: texts(reader.run(query, documents)["answers"]) for query in queries}

    async def ask_all() -> list[dict[str, Any]]:
        return await asyncio.gather(*(reader.run_async(queries[i % 3], documents) for i in range(200)))

    for number, result in enumerate(asyncio.run(ask_all())):
        assert texts(result["answers"]) == alone[queries[number % 3]]
