"""The reader on a GPU: its share of the matmul rate, its speed from text, its latency, and whether it answers as a CPU.

    python benchmarks/gpu.py --data dev-v2.0.json [--reader MODEL] [--peer-python peer/bin/python]

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/). Without --reader a model of
roberta-base's architecture with random weights is read, with the bundled reader's tokenizer: as fast as trained ones.
--peer-python is the python of an environment with transformers-haystack (see benchmarks/reader.py). Operations are
counted as 2 per weight outside the embeddings and token, and 4 per layer, width and pair of tokens for attention.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.engines import TorchEngine
from lodestone.components.models import DEFAULT_READER, resolve_model
from lodestone.evaluation.squad import read_squad

PEER = """
import json, sys, time
from haystack import Document
from haystack.utils import ComponentDevice
from haystack_integrations.components.readers.transformers import TransformersExtractiveReader
setup = json.load(sys.stdin)
reader = TransformersExtractiveReader(model=setup["model"], device=ComponentDevice.from_str(setup["device"]))
documents = [Document(content=text) for text in setup["passages"]]
reader.run(query=setup["question"], documents=documents[:100])
spent = []
for _ in range(3):
    started = time.perf_counter()
    reader.run(query=setup["question"], documents=documents)
    spent.append(time.perf_counter() - started)
print(sorted(spent)[1])
"""
LENGTH, WINDOWS, PASSAGES, ROUNDS = 384, 2000, 100, 5
BUDGETS = (8192, 16384, 32768, 65536)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader")
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    questions = list(read_squad(arguments.data))
    contexts = list(dict.fromkeys(question.context for question in questions))
    # Different in their first word, so that no passage is read but once.
    texts = [f"{at}. {contexts[at % len(contexts)]}" for at in range(WINDOWS)]
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.reader or random_reader(Path(folder))
        print(f"{torch.cuda.get_device_name(arguments.device)}, {torch.__version__}, {arguments.reader or 'random'}")
        share_of_matmul(model, arguments.device)
        from_text(model, arguments.device, questions[0].text, texts, arguments.peer_python)
        same_spans(model, arguments.device, [question.text for question in questions[:20]], texts[:60])


def random_reader(folder: Path) -> str:
    """A model folder of roberta-base's architecture with random weights."""
    from transformers import AutoTokenizer, RobertaConfig, RobertaForQuestionAnswering

    tokenizer = AutoTokenizer.from_pretrained(resolve_model(DEFAULT_READER))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    RobertaForQuestionAnswering(config).save_pretrained(folder)
    return str(folder)


def seconds(work: Callable[[], Any]) -> float:
    """Median seconds of a few runs, after two to warm up (the second records CUDA graphs)."""
    spent = []
    for _ in range(ROUNDS + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return median(spent[2:])


def share_of_matmul(model: str, device: str) -> None:
    """Print what part of the bf16 matmul rate full windows are read at, for several sizes of batches."""
    size, times = 8192, 20
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    rate = times * 2 * size**3 / seconds(lambda: [one @ other for _ in range(times)])
    print(f"bf16 matmul {size} x {size}: {rate / 1e12:.0f} TFLOP/s; windows of {LENGTH} tokens in")
    engine = TorchEngine(resolve_model(model), device, precision="bfloat16")
    config = engine._model.config  # type: ignore[attr-defined]
    weights = sum(p.numel() for name, p in engine._model.named_parameters() if "embeddings" not in name)  # type: ignore[attr-defined]
    per_token = 2 * weights + 4 * config.num_hidden_layers * config.hidden_size * LENGTH
    for budget in BUDGETS:
        rows = budget // LENGTH
        ids = np.random.default_rng(0).integers(1000, 20000, (rows, LENGTH))
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if engine.takes_segments:
            batch["token_type_ids"] = np.zeros_like(ids)
        count = -(-WINDOWS // rows)
        spent = seconds(lambda: list(engine.forward_many([batch] * count)))  # noqa: B023
        reached = count * rows * LENGTH * per_token / spent
        chosen = " (the engine's own)" if budget == engine.batch_tokens else ""
        print(f"batches of {budget} tokens: {count * rows / spent:,.0f} windows/s, {reached / rate:.0%} of it{chosen}")


def from_text(model: str, device: str, question: str, texts: list[str], peer_python: Path | None) -> None:
    """Print passages a second and the latency of one question, beside the peer's."""
    reader = ExtractiveReader(model, device=device, calibration_factor=0.1)
    documents = [Document(content=text) for text in texts]

    def unknown() -> None:
        reader.forget_passages()
        reader.run(question, documents)

    cold, warm = seconds(unknown), seconds(lambda: reader.run(question, documents))
    latency = seconds(lambda: reader.run(question, documents[:PASSAGES]))
    timings = reader.run(question, documents[:PASSAGES])["meta"]["timings_ms"]
    print(f"{len(texts)} passages from text: {len(texts) / cold:,.0f}/s; tokens kept: {len(texts) / warm:,.0f}/s")
    print(f"{PASSAGES} passages, tokens kept: {1000 * latency:.1f} ms, of which {timings}")
    if peer_python is None:
        return
    setup = {"model": str(resolve_model(model)), "device": device, "question": question, "passages": texts}
    peer = subprocess.run(
        [peer_python, "-c", PEER], input=json.dumps(setup), capture_output=True, text=True, check=True
    )
    theirs = float(peer.stdout.split()[-1])
    print(f"TransformersExtractiveReader: {len(texts) / theirs:,.0f}/s, ours is {theirs / cold:.1f} times as fast")


def same_spans(model: str, device: str, questions: list[str], texts: list[str]) -> None:
    """Print how many answers of the GPU, alone and replayed from graphs, are the CPU's."""
    listed = [[Document(content=text) for text in texts[at % 3 :: 3]] for at in range(len(questions))]

    def answers(where: str, engine: str) -> list[list[tuple[Any, ...]]]:
        reader = ExtractiveReader(model, device=where, engine=engine, precision="float32", calibration_factor=0.1)
        for _ in range(3):
            found = [reader.run(q, d, top_k=5)["answers"] for q, d in zip(questions, listed, strict=True)]
        return [[(a.data, a.document_offset) for a in each] for each in found]

    torch.backends.cuda.matmul.allow_tf32 = False
    expected, found = answers("cpu", "torch"), answers(device, "torch")
    same = sum(one == other for one, other in zip(expected, found, strict=True))
    print(f"float32: {same} of {len(questions)} questions have the CPU's five best answers")


if __name__ == "__main__":
    main()
