import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch.utils.data import Dataset

import lodestone
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import resolve_model
from lodestone.components.readers.question_answering_pipeline import QuestionAnsweringPipeline

CONTEXT = "The lighthouse of Varnholm was built by Ida Holm in 1911. It is 34 metres tall and has 181 steps."
WHO = {"question": "Who built the lighthouse?", "context": CONTEXT}
STEPS = {"question": "How many steps does it have?", "context": CONTEXT}
RECORDED = json.loads((Path(__file__).parent / "data" / "pipeline_cases.json").read_text(encoding="utf-8"))


class Rows(Dataset[dict[str, str]]):
    """A dataset of two questions."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, str]:
        return [WHO, STEPS][index]


@pytest.fixture(scope="module")
def pipe() -> Any:
    lodestone.register()
    folder = str(resolve_model("lodestone/reader-minilm"))
    return transformers.pipeline("question-answering", model=folder, tokenizer=folder, dtype="float32", device="cpu")


def quotes(results: Any) -> list[str]:
    return [result["answer"] for result in results]


@pytest.mark.parametrize("case", RECORDED, ids=[f"{case['question']} {case['settings']}" for case in RECORDED])
def test_answers_offsets_and_scores_are_those_of_transformers_4_57(pipe: Any, case: dict[str, Any]) -> None:
    got = pipe(question=case["question"], context=case["context"], **case["settings"])
    wanted = case["result"]
    assert type(got) is type(wanted)
    got, wanted = (got, wanted) if isinstance(wanted, list) else ([got], [wanted])
    assert [{**answer, "score": None} for answer in got] == [{**answer, "score": None} for answer in wanted]
    assert [answer["score"] for answer in got] == pytest.approx([answer["score"] for answer in wanted], abs=1e-4)
    assert all(case["context"][answer["start"] : answer["end"]] == answer["answer"] for answer in got)


def test_registering_again_and_from_many_threads_leaves_one_pipeline() -> None:
    threads = [threading.Thread(target=lodestone.register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    from transformers import QuestionAnsweringPipeline as Restored

    task, options, _ = transformers.pipelines.check_task("question-answering")
    assert task == "question-answering"
    assert options["impl"] is QuestionAnsweringPipeline
    assert Restored is QuestionAnsweringPipeline
    assert "question-answering" in transformers.pipelines.get_supported_tasks()


def test_importing_lodestone_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, lodestone; dir(lodestone); print({'torch', 'transformers'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_one_question_is_taken_in_every_form(pipe: Any) -> None:
    wanted = pipe(**WHO)
    assert wanted["answer"] == "Ida Holm"
    example = SimpleNamespace(question_text=WHO["question"], context_text=WHO["context"])
    for got in (
        pipe(WHO),
        pipe([WHO]),
        pipe(WHO["question"], CONTEXT),
        pipe(question=[WHO["question"]], context=CONTEXT),
        pipe(data=WHO),
        pipe(X=[WHO]),
        pipe(example),
        pipe([example]),
        pipe(QuestionAnsweringPipeline.create_sample(**WHO)),
        pipe.predict(WHO),
    ):
        assert got == wanted


def test_several_questions_are_taken_in_every_form(pipe: Any) -> None:
    questions = [WHO["question"], STEPS["question"]]
    for got in (
        pipe([WHO, STEPS]),
        pipe(WHO, STEPS),
        pipe(question=questions, context=CONTEXT),
        pipe(question=questions, context=[CONTEXT, CONTEXT]),
        pipe({"question": questions, "context": CONTEXT}),
        pipe({"question": questions, "context": [CONTEXT, CONTEXT]}),
        pipe(QuestionAnsweringPipeline.create_sample(question=questions, context=[CONTEXT, CONTEXT])),
        list(pipe(Rows())),
        list(pipe(row for row in [WHO, STEPS])),
    ):
        assert quotes(got) == ["Ida Holm", "181"]
    assert pipe([]) == []


def test_a_generator_is_read_no_further_than_it_is_asked(pipe: Any) -> None:
    taken = []

    def rows() -> Iterator[dict[str, str]]:
        for row in (WHO, STEPS):
            taken.append(row)
            yield row

    answers = pipe(rows())
    assert taken == []
    assert next(answers)["answer"] == "Ida Holm"
    assert taken == [WHO]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"question": "Who?"}, ValueError),
        ({"question": "", "context": CONTEXT}, ValueError),
        ({"question": "Who?", "context": ""}, ValueError),
        ({"question": None, "context": CONTEXT}, ValueError),
        ({"question": "Who?", "context": [CONTEXT]}, ValueError),
        ({"question": ["Who?", "Why?"], "context": [CONTEXT]}, ValueError),
        ({"data": {"question": "Who?"}}, KeyError),
        ({"data": {"question": "Who?", "context": None}}, ValueError),
        ({"data": ["Who?"]}, ValueError),
        ({"data": "Who?"}, ValueError),
        ({"data": 3}, ValueError),
        ({**WHO, "top_k": 0}, ValueError),
        ({**WHO, "max_answer_len": 0}, ValueError),
        ({**WHO, "max_seq_len": 100, "doc_stride": 101}, ValueError),
        ({**WHO, "max_seq_len": 5}, ValueError),
        ({**WHO, "doc_stride": -1}, ValueError),
        ({**WHO, "padding": "sideways"}, ValueError),
        ({**WHO, "batch_size": 0}, ValueError),
    ],
)
def test_what_cannot_be_understood_is_refused_as_it_was(
    pipe: Any, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        pipe(**arguments)


def test_topk_is_an_old_name_of_top_k_and_says_so(pipe: Any) -> None:
    with pytest.warns(UserWarning, match="use top_k instead"):
        assert pipe(**STEPS, topk=2) == pipe(**STEPS, top_k=2)


def test_settings_of_the_pipeline_hold_until_a_call_names_others(pipe: Any) -> None:
    model, tokenizer = pipe.model, pipe.tokenizer
    several = transformers.pipeline("question-answering", model=model, tokenizer=tokenizer, top_k=3, batch_size=2)
    assert len(several(**STEPS)) == 3
    assert len(several(**STEPS, top_k=2)) == 2
    assert several(**STEPS, top_k=1)["answer"] == "181"


def test_windows_in_shared_batches_give_what_each_gives_alone(pipe: Any) -> None:
    long = " ".join([CONTEXT, "Ferries leave every forty minutes. " * 60, "The keeper, Jonas Ek, retired in 1968."])
    asked = [WHO, {"question": "Who retired in 1968?", "context": long}, STEPS]
    settings = {"top_k": 3, "max_seq_len": 64, "doc_stride": 16, "handle_impossible_answer": True}
    for together, row in zip(pipe(asked, **settings), asked, strict=True):
        alone = pipe(row, batch_size=1, **settings)
        assert quotes(together) == quotes(alone)
        scores = [answer["score"] for answer in alone]
        assert [answer["score"] for answer in together] == pytest.approx(scores, abs=1e-5)


def test_a_long_question_is_read_whole_unless_it_is_told_or_leaves_no_room(pipe: Any) -> None:
    asked = "Who built the lighthouse, " + "which stands by the sea, " * 12 + "and who then painted it?"
    whole = pipe(question=asked, context=CONTEXT)
    cut = pipe(question=asked, context=CONTEXT, max_question_len=8)
    assert whole["score"] != pytest.approx(cut["score"], abs=1e-4)
    assert cut["answer"] == "Ida Holm"
    assert pipe(question=asked * 5, context=CONTEXT * 20)["answer"]


@pytest.mark.parametrize("context", [" ", "\n\t", "."])
def test_a_context_without_words_gives_an_empty_answer_or_what_there_is(pipe: Any, context: str) -> None:
    assert pipe(question="Who?", context=context)["answer"] in {"", "."}


def test_the_callers_tokenizer_keeps_its_own_truncation_and_padding(pipe: Any) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve_model("lodestone/reader-minilm"))
    tokenizer("some words", truncation=True, max_length=8, padding="max_length")
    own = QuestionAnsweringPipeline(model=pipe.model, tokenizer=tokenizer)
    assert own(**WHO) == pipe(**WHO)
    assert tokenizer.backend_tokenizer.truncation is not None


def test_the_class_alone_answers_with_the_bundled_reader() -> None:
    answer = QuestionAnsweringPipeline(device="cpu", handle_impossible_answer=True)
    assert answer.model.dtype == torch.float32
    assert answer(**WHO)["answer"] == "Ida Holm"
    assert answer(question="Who painted the Mona Lisa?", context=CONTEXT)["answer"] == ""


def test_answers_of_many_threads_are_those_of_one(pipe: Any) -> None:
    wanted = pipe(**WHO)
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(pipe(**WHO))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [wanted] * 8


def test_saving_writes_model_and_tokenizer_and_none_of_our_code(pipe: Any, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    again = transformers.pipeline("question-answering", model=str(tmp_path), dtype="float32", device="cpu")
    assert again(**WHO) == pipe(**WHO)


def test_a_model_of_another_task_is_named_in_the_log(pipe: Any, caplog: pytest.LogCaptureFixture) -> None:
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = transformers.BertForMaskedLM(config)
    logger = transformers.utils.logging.get_logger("transformers")
    logger.addHandler(caplog.handler)
    try:
        QuestionAnsweringPipeline(model=model, tokenizer=pipe.tokenizer)
    finally:
        logger.removeHandler(caplog.handler)
    assert "BertForMaskedLM" in caplog.text


def test_another_framework_and_a_slow_tokenizer_are_refused(pipe: Any) -> None:
    with pytest.raises(ConfigurationError, match="framework"):
        QuestionAnsweringPipeline(model=pipe.model, tokenizer=pipe.tokenizer, framework="tf")
    with pytest.raises(ConfigurationError, match="fast tokenizer"):
        QuestionAnsweringPipeline(model=pipe.model, tokenizer=SimpleNamespace(is_fast=False))


def test_an_unknown_setting_is_named_and_left_aside(pipe: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="lodestone"):
        assert pipe(**WHO, max_anwser_len=3)["answer"] == "Ida Holm"
    assert "max_anwser_len" in caplog.text
