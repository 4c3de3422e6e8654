"""Tokens that are trained on in a second: `lodestone train` beside a loop as transformers' `run_qa.py` has it.

The same base model, windows, batch size and precision. `run_qa.py` pads every window to the full length unless it is
told not to (`--pad_to_max_length False`); both are run. Tokens are counted without padding. The contenders take
turns, a few steps each, so that other work on the machine falls on all of them.

    python benchmarks/training_speed.py --data squad2_train.json [--model NAME] [--precision bfloat16] [--json FILE]

Data: SQuAD 2.0's train file, https://rajpurkar.github.io/SQuAD-explorer/.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, default_data_collator

from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training.base_model import load_base_model, load_base_tokenizer
from lodestone.training.data import load_data
from lodestone.training.on_cpu import quicken
from lodestone.training.reader_trainer import Lesson, ReaderTrainer
from lodestone.training.recipe import Data, DataFile, Recipe, Training, Windows
from lodestone.training.settings import autocast_type, training_arguments
from lodestone.training.windows import TrainingWindows

WARM = 2


class Stopwatch(TrainerCallback):
    """Times the steps behind the first ones."""

    def __init__(self, tokens: Callable[[], int]) -> None:
        self._tokens = tokens
        self.speed = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin behind the warm-up, end at the last step."""
        if state.global_step == WARM:
            self._started, self._before = time.perf_counter(), self._tokens()
        if state.global_step == state.max_steps:
            self.speed = (self._tokens() - self._before) / (time.perf_counter() - self._started)


class RunQA(Trainer):
    """`run_qa.py`'s trainer as far as training goes, with a counter of tokens."""

    tokens = 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *given: Any, **named: Any) -> Any:
        """The model's own loss."""
        self.tokens += int(inputs["attention_mask"].sum())
        return super().compute_loss(model, inputs, *given, **named)


def run_qa_features(windows: TrainingWindows, length: int | None) -> list[dict[str, list[int]]]:
    """The windows as `run_qa.py` prepares them: one start and one end each, padded to `length` if that is given."""
    features = []
    for number in range(len(windows)):
        batch = windows.collate([number])
        pad = 0 if length is None else length - batch["input_ids"].shape[1]
        feature = {
            name: batch[name][0].tolist() + [windows.template.pad_id if name == "input_ids" else 0] * pad
            for name in ("input_ids", "attention_mask", "token_type_ids")
        }
        start, end = batch["spans"][0, 0].tolist()
        features.append({**feature, "start_positions": start, "end_positions": end})
    return features


def pad_together(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """`DataCollatorWithPadding`: to the longest of the batch."""
    longest = max(len(each["input_ids"]) for each in features)
    padded = [
        {
            name: value + [0] * (longest - len(value)) if isinstance(value, list) else value
            for name, value in each.items()
        }
        for each in features
    ]
    return default_data_collator(padded)


def ours(recipe: Recipe, windows: TrainingWindows, pair: PairTokenizer) -> float:
    """Tokens a second of `lodestone train`."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(recipe, Path(folder))
        cast = autocast_type(recipe.training.precision)
        model = load_base_model(recipe)
        if arguments.use_cpu:
            quicken(model, cast)
        trainer = ReaderTrainer(Lesson(recipe, windows, pair, []), cast, model=model, args=arguments)
        return timed(trainer)


def theirs(recipe: Recipe, features: list[dict[str, Any]], collate: Any) -> float:
    """Tokens a second of the loop of `run_qa.py`."""
    training = recipe.training
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=training.steps or -1,
            per_device_train_batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            bf16=autocast_type(training.precision) == "bfloat16",
            fp16=autocast_type(training.precision) == "float16",
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
        )
        model = load_base_model(recipe)
        return timed(RunQA(model=model, args=arguments, train_dataset=features, data_collator=collate))


def timed(trainer: Any) -> float:
    """Train, and give the tokens a second."""
    watch = Stopwatch(lambda: int(trainer.tokens))
    trainer.add_callback(watch)
    trainer.remove_callback(PrinterCallback)
    trainer.args.logging_strategy = trainer.args.save_strategy = "no"
    trainer.train()
    return watch.speed


def main() -> None:
    """Measure and print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a SQuAD train file")
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-seq-length", type=int, default=384)
    parser.add_argument("--steps", type=int, default=12, help="of a round, the first 2 not timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    training = Training(
        steps=given.steps, batch_size=given.batch_size, dropout=None, precision=given.precision, learning_rate=3e-5
    )
    data = Data((DataFile(str(given.data)),))
    recipe = Recipe(given.model, data, training=training, windows=Windows(max_seq_length=given.max_seq_length))
    examples = load_data(data).examples
    examples = examples[:: max(1, len(examples) // given.questions)]
    pair = PairTokenizer(load_base_tokenizer(recipe))
    windows = TrainingWindows(examples, pair, recipe.windows, 512)
    full, short = run_qa_features(windows, given.max_seq_length), run_qa_features(windows, None)
    contenders: dict[str, Callable[[], float]] = {
        "run_qa, padded to the full length (its default)": lambda: theirs(recipe, full, default_data_collator),
        "run_qa, padded to the longest of a batch": lambda: theirs(recipe, short, pad_together),
        "lodestone train": lambda: ours(recipe, windows, pair),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    with quiet_transformers():
        for _ in range(given.rounds):
            for name, run in contenders.items():
                speeds[name].append(run())
    base = statistics.median(speeds[next(iter(contenders))])
    cast = autocast_type(given.precision) or "float32"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    print(
        f"{given.model}, {cast}, batches of {given.batch_size}, windows of {given.max_seq_length} at most and "
        f"{windows.lengths.mean():.0f} tokens on average, {given.rounds} rounds of {given.steps - WARM} steps, {device}"
    )
    print("| | tokens/s | ratio |\n| --- | --- | --- |")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {middle / base:.2f}x |")
    if given.json is not None:
        given.json.write_text(json.dumps({"command": vars(given), "speeds": speeds}, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
