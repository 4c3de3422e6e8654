"""transformers' Trainer with our windows, losses, order of the data, and judgement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from lodestone.components.engines.loading import takes_segments
from lodestone.components.errors import LodestoneError
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.evaluation.squad import Question
from lodestone.training.batches import BatchOrder
from lodestone.training.checkpoints import mark_whole
from lodestone.training.live_reader import judge
from lodestone.training.losses import question_loss, span_loss, teacher_loss
from lodestone.training.recipe import Recipe
from lodestone.training.teacher_layers import TeacherLayers
from lodestone.training.teacher_logits import TeacherLogits
from lodestone.training.windows import TrainingWindows

Tell = Callable[[str], None]
_CALMER = "lower training.learning_rate, lengthen training.warmup, or compute in float32 (training.precision)"


@dataclass(frozen=True)
class Lesson:
    """What a run learns from and is judged by.

    :param recipe: The recipe.
    :param windows: The training windows.
    :param pair: The tokenizer.
    :param questions: What it is judged by meanwhile; empty for nothing.
    :param logits: Teachers' logits; empty for none.
    :param layers: A teacher's layers, or None.
    """

    recipe: Recipe
    windows: TrainingWindows
    pair: PairTokenizer
    questions: Sequence[Question]
    logits: Sequence[TeacherLogits] = ()
    layers: TeacherLayers | None = None


class _Loader(DataLoader[int]):
    """A loader whose order Trainer can set to an epoch."""

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.batch_sampler, BatchOrder)
        self.batch_sampler.set_epoch(epoch)


class ReaderTrainer(Trainer):
    """Trains a reader.

    :param lesson: What it learns from and is judged by.
    :param autocast: The type that is computed in where that is not float32, else None.
    :param given: Parameters of Trainer.
    """

    def __init__(self, lesson: Lesson, autocast: str | None, **given: Any) -> None:
        # Trainer wants to be given what it evaluates on, though `evaluate` does without it.
        super().__init__(train_dataset=lesson.windows, eval_dataset=lesson.windows, **given)
        self.lesson = lesson
        self.tokens = 0
        self.loss_is_scaled_for_ga = False
        self._autocast = autocast
        self._segments = takes_segments(given["model"])
        self._together = lesson.recipe.training.shared_normalization > 0
        # What a batch is made of.
        windows = lesson.windows
        self._units = windows.by_question() if self._together else [[number] for number in range(len(windows))]

    def get_train_dataloader(self) -> Any:
        """Our windows in our order; each process takes its own share of every step's batches."""
        windows = self.lesson.windows
        lengths = windows.lengths
        order = BatchOrder(
            np.array([lengths[unit].max() for unit in self._units]),
            self.args.per_device_train_batch_size,
            self.args.seed,
            self.args.process_index,
            self.args.world_size,
            self.args.gradient_accumulation_steps,
        )
        return _Loader(windows, batch_sampler=order, collate_fn=self._collate)  # type: ignore[arg-type]

    def _collate(self, numbers: Sequence[int]) -> dict[str, Any]:
        """A batch: of windows, or of all windows of some questions.

        Its tokens are counted and the teachers' logits fetched here, for on a GPU asking for a number would mean to
        wait for it.
        """
        units = [self._units[number] for number in numbers]
        windows = [window for unit in units for window in unit]
        batch: dict[str, Any] = self.lesson.windows.collate(windows)
        self.tokens += int(batch["attention_mask"].sum())
        if self.lesson.logits:
            width = batch["attention_mask"].shape[1]
            batch["taught"] = torch.stack([each.batch(windows, width) for each in self.lesson.logits])
        if self._together:
            asked = torch.tensor([place for place, unit in enumerate(units) for _ in unit])
            batch["questions"] = torch.eq(torch.arange(len(units))[:, None], asked)
        return batch

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch: over all accepted spans, from a teacher, or both.

        :param model: The model, in whatever wraps it.
        :param inputs: What `_collate` gave.
        :param return_outputs: Whether to give the model's outputs as well.
        :param num_items_in_batch: Not used: a batch's loss is a mean over its windows, or over its questions.
        """
        layers = self.lesson.layers
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self._segments:
            given["token_type_ids"] = inputs["token_type_ids"]
        shown = {"output_hidden_states": True, "output_attentions": True} if layers is not None else {}
        outputs = model(**given, **shown)
        if layers is not None:
            student = self.accelerator.unwrap_model(model)
            loss = layers.loss(student, outputs, inputs, inputs["weights"])
            # Processes wait for a gradient of every weight, and the head has none of its own here.
            loss = loss + 0.0 * (outputs.start_logits.sum() + outputs.end_logits.sum())
        else:
            loss = self._loss_of_logits(outputs.start_logits, outputs.end_logits, inputs)
        return (loss, outputs) if return_outputs else loss

    def _loss_of_logits(self, start: torch.Tensor, end: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        mask, spans, weights = (inputs[name] for name in ("attention_mask", "spans", "weights"))
        shared, distillation = self.lesson.recipe.training.shared_normalization, self.lesson.recipe.distillation
        # Batches of questions have unlike numbers of windows, which are all to count alike.
        windows = inputs["questions"].shape[1] / inputs["questions"].shape[0] if self._together else 1.0
        loss = windows * span_loss(start, end, mask, spans, weights)
        if self._together:
            loss = loss + shared * question_loss(start, end, mask, spans, inputs["questions"], weights)
        if "taught" in inputs and distillation is not None:
            gaps = [
                teacher_loss(ours, inputs["taught"][:, which], mask, weights, distillation.temperature)
                for which, ours in enumerate((start, end))
            ]
            loss = (1 - distillation.weight) * loss + distillation.weight * windows * (gaps[0] + gaps[1]) / 2
        return loss

    def take_up(self, checkpoint: Path) -> None:
        """Take the weights and the history of a run that has ended, as `train` would leave them.

        :param checkpoint: Its last checkpoint.
        """
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        best = self.state.best_model_checkpoint if self.args.load_best_model_at_end else None
        self._load_from_checkpoint(best if best is not None else str(checkpoint))

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Exact match and F1 on the recipe's questions, as `judge` gives them, each behind the prefix.

        :param eval_dataset: Not used.
        :param ignore_keys: Not used.
        :param metric_key_prefix: What stands before the names.
        """
        recipe = self.lesson.recipe
        assert recipe.evaluation is not None
        device = str(self.args.device)
        model = self.accelerator.unwrap_model(self.model)
        found = judge(
            model, self.lesson.pair, self.lesson.questions, recipe.windows, recipe.evaluation, device, self._autocast
        )
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class Reporter(TrainerCallback):
    """Says how a run goes, stops it where the loss is no number, and marks checkpoints that are whole.

    :param tell: Takes a line for the person who waits.
    """

    def __init__(self, tell: Tell) -> None:
        self.trainer: ReaderTrainer | None = None
        self._tell = tell
        self._since, self._tokens = time.perf_counter(), 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """A line on what was logged."""
        from accelerate import PartialState

        logs = logs or {}
        if "loss" in logs and not math.isfinite(logs["loss"]):
            raise LodestoneError(f"the loss is {logs['loss']} at step {state.global_step}; {_CALMER}")
        if not PartialState().is_main_process:
            return
        if "loss" in logs:
            trainer, now = self.trainer, time.perf_counter()
            tokens = trainer.tokens if trainer is not None else 0
            speed = (tokens - self._tokens) * args.world_size / max(now - self._since, 1e-9)
            self._since, self._tokens = now, tokens
            self._tell(
                f"step {state.global_step:,} of {state.max_steps:,}: loss {logs['loss']:.4f}, rate "
                f"{logs['learning_rate']:.2e}, {speed:,.0f} tokens/s"
            )
        elif "eval_f1" in logs:
            figures = ", ".join(
                f"{name.removeprefix('eval_')} {value:.2f}" for name, value in logs.items() if name.startswith("eval_")
            )
            self._tell(f"step {state.global_step:,} of {state.max_steps:,}: {figures}")

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Mark the checkpoint once every process has written its part."""
        from accelerate import PartialState

        check_weights(model, state.global_step)
        processes = PartialState()
        processes.wait_for_everyone()
        if processes.is_main_process:
            mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}", processes.num_processes)
        processes.wait_for_everyone()


def check_weights(model: Any, step: int) -> None:
    """Refuse weights that are no numbers.

    :param model: The model.
    :param step: The step that it is at.
    :raises LodestoneError: If a weight is infinite or no number.
    """
    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise LodestoneError(f"the weights are no numbers any more at step {step}; {_CALMER}")
