"""Compares our question-answering pipeline with that of transformers 4.57, answer by answer.

    python -m venv /tmp/tf457 && /tmp/tf457/bin/pip install torch 'transformers==4.57.*'
    python benchmarks/pipeline_parity.py --python /tmp/tf457/bin/python --data dev-v2.0.json

--data is a file in SQuAD 2.0 format (https://rajpurkar.github.io/SQuAD-explorer/). Every third question is asked of
its paragraph and the three after it, so that several windows are read. Both sides compute in float32 on the CPU. With
--roberta-tokenizer, a folder, a small RoBERTa with random weights is compared too. --record FILE writes the cases of
`tests/components/readers/data/pipeline_cases.json` as the other environment answers them, and compares nothing else.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SETTINGS: list[dict[str, Any]] = [
    {},
    {"top_k": 5, "handle_impossible_answer": True},
    {"top_k": 5, "max_seq_len": 96, "doc_stride": 24},
    {"handle_impossible_answer": True, "max_seq_len": 128, "doc_stride": 48, "align_to_words": False},
]
TOLERANCE = 1e-4


def main() -> None:
    """Run both, compare, print."""
    if sys.argv[1:2] == ["--answer"]:
        answer(*map(Path, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="the interpreter of an environment with transformers 4.57")
    parser.add_argument("--data", type=Path, help="SQuAD file")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--roberta-tokenizer", type=Path, help="folder of roberta-base's tokenizer")
    parser.add_argument("--record", type=Path, help="answer the cases in this file again and write them back")
    arguments = parser.parse_args()

    from lodestone.components.models import DEFAULT_READER, resolve_model

    bundled = resolve_model(DEFAULT_READER)
    if arguments.record is not None:
        cases = json.loads(arguments.record.read_text(encoding="utf-8"))
        results = theirs(arguments.python, bundled, cases)
        recorded = [{**case, "result": result} for case, result in zip(cases, results, strict=True)]
        arguments.record.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"recorded {len(cases)} cases in {arguments.record}")
        return
    if arguments.data is None:
        parser.error("--data is needed")
    cases = make_cases(arguments.data, arguments.questions)
    with tempfile.TemporaryDirectory() as folder:
        models = {"bundled reader": bundled}
        if arguments.roberta_tokenizer is not None:
            models["random RoBERTa"] = random_roberta(arguments.roberta_tokenizer, Path(folder) / "roberta")
        same = [compare(name, model, cases, arguments.python) for name, model in models.items()]
    sys.exit(0 if all(same) else 1)


def make_cases(data: Path, count: int) -> list[dict[str, Any]]:
    """Questions with their contexts under each of the settings."""
    from lodestone.evaluation.squad import read_squad

    questions = list(read_squad(data))
    contexts = list(dict.fromkeys(question.context for question in questions))
    places = {context: place for place, context in enumerate(contexts)}
    sample = random.Random(0).sample(questions, min(count, len(questions)))
    cases = []
    for number, question in enumerate(sample):
        place = places[question.context]
        context = "\n\n".join(contexts[place : place + 4]) if number % 3 == 0 else question.context
        cases.extend({"question": question.text, "context": context, "settings": each} for each in SETTINGS)
    answerable = sum(bool(question.answers) for question in sample)
    print(f"{len(sample)} questions, {len(sample) - answerable} of them unanswerable, {len(SETTINGS)} settings each")
    return cases


def random_roberta(tokenizer: Path, folder: Path) -> Path:
    """A small RoBERTa whose logits are spread as those of a trained reader are."""
    import torch
    from transformers import RobertaConfig, RobertaForQuestionAnswering

    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=50265,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.3,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    RobertaForQuestionAnswering(config).save_pretrained(folder)
    for file in tokenizer.iterdir():
        shutil.copy(file, folder)
    return folder


def compare(name: str, model: Path, cases: list[dict[str, Any]], python: str) -> bool:
    """Answer all cases on both sides and print where they differ."""
    begun = time.perf_counter()
    ours = answers(model, cases)
    own_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    expected = theirs(python, model, cases)
    their_seconds = time.perf_counter() - begun
    different, furthest, compared = [], 0.0, 0
    for case, got, wanted in zip(cases, ours, expected, strict=True):
        got, wanted = as_list(got), as_list(wanted)
        compared += len(wanted)
        if [place(answer) for answer in got] != [place(answer) for answer in wanted]:
            different.append((case, got, wanted))
            continue
        furthest = max([furthest, *(abs(a["score"] - b["score"]) for a, b in zip(got, wanted, strict=True))])
    print(f"{name}: {len(cases)} calls, {compared} answers, {len(different)} calls with other answers or offsets")
    print(f"  largest difference of scores where they agree {furthest:.1e} (allowed {TOLERANCE:.0e})")
    print(f"  seconds with loading: ours {own_seconds:.1f}, transformers 4.57 {their_seconds:.1f}")
    for case, got, wanted in different[:5]:
        print(f"  {case['question']!r} {case['settings']}\n    ours   {got}\n    theirs {wanted}")
    return not different and furthest <= TOLERANCE


def place(answer: dict[str, Any]) -> tuple[str, int, int]:
    """What must be the same to the letter."""
    return answer["answer"], answer["start"], answer["end"]


def as_list(result: Any) -> list[dict[str, Any]]:
    """A result as a list, whether it is one answer or several."""
    return result if isinstance(result, list) else [result]


def theirs(python: str, model: Path, cases: list[dict[str, Any]]) -> list[Any]:
    """The answers of the other environment's pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        asked, written = Path(folder) / "cases.json", Path(folder) / "answers.json"
        asked.write_text(json.dumps(cases), encoding="utf-8")
        subprocess.run([python, __file__, "--answer", str(model), str(asked), str(written)], check=True)
        return list(json.loads(written.read_text(encoding="utf-8")))


def answer(model: Path, asked: Path, written: Path) -> None:
    """Run in the other environment: answer the cases with the pipeline that transformers has there."""
    import transformers

    if not transformers.__version__.startswith("4."):
        sys.exit(f"--python must have transformers 4.57, it has {transformers.__version__}")
    results = answers(model, json.loads(asked.read_text(encoding="utf-8")))
    written.write_text(json.dumps(results), encoding="utf-8")


def answers(model: Path, cases: list[dict[str, Any]]) -> list[Any]:
    """What `transformers.pipeline` answers in this environment, ours registered where it has none."""
    import torch
    import transformers

    if not transformers.__version__.startswith("4."):
        import lodestone

        lodestone.register()
    name = str(model)
    pipe = transformers.pipeline("question-answering", model=name, tokenizer=name, dtype=torch.float32, device="cpu")
    return [pipe(question=each["question"], context=each["context"], **each["settings"]) for each in cases]


if __name__ == "__main__":
    main()
