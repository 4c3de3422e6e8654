"""A recipe as the arguments of transformers' Trainer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lodestone.components.engines import checked_device
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.errors import ConfigurationError
from lodestone.training.checkpoints import CHECKPOINTS
from lodestone.training.recipe import Recipe, Training

if TYPE_CHECKING:
    from transformers import TrainingArguments

_LOG_EVERY = 50
_DDP_TIMEOUT = 24 * 3600


def training_arguments(recipe: Recipe, output: Path) -> TrainingArguments:
    """The arguments of a run.

    :param recipe: The recipe.
    :param output: The reader's folder.
    :raises ConfigurationError: If the batch cannot be shared among the processes, or the precision is not to be had.
    """
    from transformers import TrainingArguments

    training, evaluation = recipe.training, recipe.evaluation
    on_cpu = checked_device(None) == "cpu"
    kind = autocast_type(training.precision)
    arguments = TrainingArguments(
        output_dir=str(output / CHECKPOINTS),
        max_steps=training.steps if training.steps is not None else -1,
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        lr_scheduler_type="constant_with_warmup" if training.schedule == "constant" else training.schedule,
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=kind == "bfloat16",
        fp16=kind == "float16",
        seed=training.seed,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "WORLD_SIZE" in os.environ else None,
        ddp_find_unused_parameters=False,
        # The main process prepares the data and fits probabilities while the others wait.
        ddp_timeout=_DDP_TIMEOUT,
        save_steps=recipe.checkpoints.every,
        # transformers counts the best among them.
        save_total_limit=recipe.checkpoints.keep + (evaluation is not None and evaluation.keep_best),
        eval_strategy="steps" if evaluation is not None and evaluation.every is not None else "no",
        eval_steps=evaluation.every if evaluation is not None else None,
        load_best_model_at_end=evaluation is not None and evaluation.keep_best,
        metric_for_best_model=evaluation.metric if evaluation is not None else None,
        greater_is_better=True if evaluation is not None else None,
        restore_callback_states_from_checkpoint=True,
        logging_steps=_LOG_EVERY,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=[],
    )
    # One process a device: several GPUs are several processes, as accelerate starts them.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    each, accumulated = _shares(training, arguments.world_size)
    arguments.per_device_train_batch_size = each
    arguments.gradient_accumulation_steps = accumulated
    return arguments


def autocast_type(precision: str) -> str | None:
    """The type that is computed in: "bfloat16", "float16", or None for float32.

    :param precision: As in a recipe.
    :raises ConfigurationError: If it is for GPUs and there is none.
    """
    on_cpu = checked_device(None) == "cpu"
    if precision == "float16" and on_cpu:
        raise ConfigurationError("training.precision float16 is for GPUs; on a CPU take bfloat16, float32 or auto")
    if precision == "auto":
        precision = best_precision() if on_cpu else _best_on_gpu()
    return None if precision == "float32" else precision


def _best_on_gpu() -> str:
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _shares(training: Training, processes: int) -> tuple[int, int]:
    """Windows of one process's forward pass, and how many passes make a step."""
    share, rest = divmod(training.batch_size, processes)
    most = training.device_batch_size if training.device_batch_size is not None else share
    each = min(most, share)
    if rest or not each or share % each:
        raise ConfigurationError(
            f"training.batch_size {training.batch_size} cannot be shared among {processes} processes in passes of "
            f"{most or 1} windows; make it a multiple of both (training.device_batch_size)"
        )
    return each, share // each
