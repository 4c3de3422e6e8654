"""A training run from recipe to reader: prepared, trained or resumed, calibrated, described."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.engines.loading import max_length
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.engines.weights import model_digest
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import resolve_model
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.evaluation.calibrating import LEAST_QUESTIONS
from lodestone.evaluation.fingerprint import fingerprint, hash_files
from lodestone.evaluation.partial import sampled
from lodestone.evaluation.qa import read_qa
from lodestone.evaluation.squad import read_squad
from lodestone.training.base_model import load_base_model, load_base_tokenizer, save_reader
from lodestone.training.checkpoints import (
    CHECKPOINTS,
    DONE_FILE,
    LEFT_OUT_FILE,
    NEGATIVES_FILE,
    TEACHER_FOLDER,
    has_ended,
    last_whole,
    processes_of,
    run_folder,
    write_json,
)
from lodestone.training.data import BadQuestion, describe, load_data, report
from lodestone.training.finishing import finish
from lodestone.training.negatives import with_negatives
from lodestone.training.recipe import CalibrationData, Recipe
from lodestone.training.settings import autocast_type, training_arguments
from lodestone.training.windows import TrainingWindows

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from lodestone.training.reader_trainer import Lesson

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """What came of a run.

    :param folder: The reader.
    :param record: What `training.json` in it says: data, steps, loss, figures.
    """

    folder: Path
    record: dict[str, Any]


def train(recipe: Recipe, output: Path, *, fresh: bool = False, tell: Tell = lambda line: None) -> Trained:
    """Train a reader by a recipe, or go on where an earlier call of the same was stopped.

    On a CPU the weights are the same, to the last bit, however often it was stopped, with the same number of processes
    and threads.

    :param recipe: The recipe.
    :param output: The reader's folder. Beside the reader it holds the run's checkpoints.
    :param fresh: Whether to begin anew where the folder holds another run, or this one.
    :param tell: Takes lines on how it goes.
    :raises ConfigurationError: If the recipe, its data or its models do not fit, or the folder holds another run.
    :raises LodestoneError: If the loss is no number any more.
    """
    from accelerate import PartialState

    # What is remembered of checkpoints must hold in every working directory.
    output = output.expanduser().resolve()
    arguments = training_arguments(recipe, output)
    processes = PartialState()
    with run_folder(output, _identity(recipe), fresh) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        return _trained(recipe, output, arguments, tell if processes.is_main_process else lambda line: None)


def _trained(recipe: Recipe, output: Path, arguments: TrainingArguments, tell: Tell) -> Trained:
    """Do what is left to do of a run."""
    from accelerate import PartialState

    processes, done, finishing = PartialState(), output / DONE_FILE, _finishing(recipe)
    if done.is_file():
        record = json.loads(done.read_text(encoding="utf-8"))
        if record.get("finishing") == finishing:
            tell(f"{output} is trained already")
            return Trained(output, record)
        _check_ended(output)
        tell(f"{output} is trained already; what the recipe does with the weights has changed and is done anew")
    with processes.main_process_first(), quiet_transformers():
        model = load_base_model(recipe)
    with processes.main_process_first():
        lesson, tokenizer, about = _prepare(recipe, output, tell)
    with quiet_transformers():
        record = _run(recipe, output, lesson, model, arguments, tell)
        if processes.is_main_process:
            save_reader(model, tokenizer, recipe, output)
    if processes.is_main_process:
        write_json(done, {**finish(recipe, output, {**about, **record}, tell), "finishing": finishing})
    processes.wait_for_everyone()
    return Trained(output, json.loads(done.read_text(encoding="utf-8")))


# They say what is done with trained weights, or how a run is kept, and change nothing of the weights.
_AFTERWARDS = ("published", "calibration", "name", "weights")


def _identity(recipe: Recipe) -> dict[str, Any]:
    """What decides the weights of a run, by what a person calls it."""
    described = recipe.to_dict()
    # Models count by what they hold, wherever they lie.
    for name in (*_AFTERWARDS, "checkpoints", "model", "tokenizer"):
        described.pop(name)
    described["data"]["files"] = [each.weight for each in recipe.data.files]
    if recipe.evaluation is not None:
        described["evaluation"]["file"] = hash_files([_checked_file(recipe.evaluation.file)])
    if recipe.calibration is not None:
        _checked_file(recipe.calibration.file)
    teachers = recipe.distillation.teacher if recipe.distillation is not None else ()
    if teachers:
        described["distillation"].pop("teacher")
    return {
        "recipe": fingerprint(described),
        "data": hash_files([_checked_file(each.file) for each in recipe.data.files]),
        "base model": model_digest(resolve_model(recipe.model)),
        "tokenizer": PairTokenizer(load_base_tokenizer(recipe)).fingerprint().hex(),
        "teacher": [model_digest(resolve_model(teacher)) for teacher in teachers],
    }


def _finishing(recipe: Recipe) -> str:
    """What decides what is made of a run's weights."""
    described = recipe.to_dict()
    fitted = None if recipe.calibration is None else hash_files([_checked_file(recipe.calibration.file)])
    return fingerprint([described[name] for name in _AFTERWARDS], fitted)


def _check_ended(output: Path) -> None:
    checkpoint = last_whole(output / CHECKPOINTS)
    if checkpoint is None or not has_ended(checkpoint):
        raise ConfigurationError(
            f"{output} is trained already, with another {', '.join(_AFTERWARDS[:-1])} or {_AFTERWARDS[-1]}, and its "
            "checkpoints, from which that could be done anew, are gone; take the recipe as it was, or begin anew there "
            "(--fresh)"
        )


def _checked_file(name: str) -> Path:
    file = Path(name)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ConfigurationError(f"{file} {what}; name the folder of the data (--data-folder) and a file in it")
    return file


def _check_calibration(data: CalibrationData) -> None:
    count = len(read_qa(Path(data.file)).questions)
    if count < LEAST_QUESTIONS:
        raise ConfigurationError(
            f"{data.file} has {count} questions; a calibration needs at least {LEAST_QUESTIONS}: name a larger file, "
            "or leave it out"
        )


def _prepare(recipe: Recipe, output: Path, tell: Tell) -> tuple[Lesson, Any, dict[str, Any]]:
    """The data as windows, with negatives and teachers' logits where the recipe has some."""
    from lodestone.training.reader_trainer import Lesson
    from lodestone.training.teacher_layers import check_teacher
    from lodestone.training.teacher_logits import TeacherLogits

    if recipe.calibration is not None:
        _check_calibration(recipe.calibration)
    loaded = load_data(recipe.data)
    seed = recipe.training.seed
    examples = with_negatives(loaded.examples, recipe.negatives, seed, output / NEGATIVES_FILE)
    tokenizer = load_base_tokenizer(recipe)
    pair = PairTokenizer(tokenizer)
    windows = TrainingWindows(examples, pair, recipe.windows, _positions(recipe))
    left_out = [*loaded.dropped, *loaded.bad, *windows.left_out]
    _write_left_out(output / LEFT_OUT_FILE, left_out)
    if left_out:
        tell(f"{report(left_out)}\nleft out; all of them are in {output / LEFT_OUT_FILE}")
    about = {
        "data": [
            {"file": Path(each.file).name, "sha256": hash_files([Path(each.file)]), "weight": each.weight}
            for each in recipe.data.files
        ],
        **describe(examples, windows.left_out),
        "negatives": len(examples) - len(loaded.examples),
        "left_out": len(left_out),
        **windows.describe(),
    }
    tell(f"{about['questions']:,} questions, {about['unanswerable']:,} without an answer; {len(windows):,} windows")
    questions = []
    if recipe.evaluation is not None:
        questions = sampled(list(read_squad(Path(recipe.evaluation.file))), recipe.evaluation.sample)
    logits: list[TeacherLogits] = []
    if recipe.distillation is not None and recipe.distillation.kind == "prediction":
        folder = output / TEACHER_FOLDER
        logits = [TeacherLogits(each, windows, tokenizer, folder, tell) for each in recipe.distillation.teacher]
        for path in {*folder.iterdir()} - {each.file for each in logits}:
            path.unlink()  # of other data, before the recipe was corrected
    elif recipe.distillation is not None:
        check_teacher(recipe.distillation, tokenizer, int(windows.lengths.max()))
    return Lesson(recipe, windows, pair, questions, logits), tokenizer, about


def _positions(recipe: Recipe) -> int:
    from transformers import AutoConfig

    return max_length(AutoConfig.from_pretrained(str(resolve_model(recipe.model)), local_files_only=True))


def _write_left_out(file: Path, left_out: list[BadQuestion]) -> None:
    lines = [json.dumps({"file": each.file, "id": each.id, "reason": each.reason}) for each in left_out]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _run(recipe: Recipe, output: Path, lesson: Lesson, model: Any, arguments: Any, tell: Tell) -> dict[str, Any]:
    """Train, from the last whole checkpoint where there is one."""
    from accelerate import PartialState
    from transformers import EarlyStoppingCallback, PrinterCallback, ProgressCallback

    from lodestone.training.averaging import Averager
    from lodestone.training.on_cpu import give_back, quicken
    from lodestone.training.reader_trainer import ReaderTrainer, Reporter, check_weights
    from lodestone.training.teacher_layers import TeacherLayers

    processes = PartialState()
    with processes.main_process_first():
        checkpoint = last_whole(output / CHECKPOINTS)
    autocast = autocast_type(recipe.training.precision)
    if recipe.distillation is not None and recipe.distillation.kind == "intermediate":
        lesson = replace(lesson, layers=TeacherLayers(model, recipe.distillation, str(arguments.device), autocast))
    if arguments.use_cpu:
        quicken(model, autocast, attention=lesson.layers is None)
    reporter = Reporter(tell)
    averager = None
    if recipe.averaging is not None:
        averager = Averager(recipe.averaging, model, checkpoint, processes.is_main_process)
    # The averager writes its part of a checkpoint before the reporter marks it as whole.
    callbacks: list[Any] = [reporter] if averager is None else [averager, reporter]
    if recipe.evaluation is not None and recipe.evaluation.patience is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=recipe.evaluation.patience))
    trainer = ReaderTrainer(lesson, autocast, model=model, args=arguments, callbacks=callbacks)
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    reporter.trainer = trainer
    started = time.perf_counter()
    if checkpoint is not None:
        tell(f"resuming from {checkpoint.name}")
        before = processes_of(checkpoint)
        if before not in (None, processes.num_processes):
            tell(
                f"{before} processes began what {processes.num_processes} go on with: the weights will differ a little"
            )
    if checkpoint is not None and has_ended(checkpoint):
        trainer.take_up(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
    spent = time.perf_counter() - started
    check_weights(model, trainer.state.global_step)
    averaged = averager.put_in(trainer.state) if averager is not None else 0
    if averager is not None and not averaged:
        tell("it was stopped before averaging began: its last weights are the result")
    TeacherLayers.detach(model)
    give_back(model)
    history = [entry for entry in trainer.state.log_history if "eval_f1" in entry or "loss" in entry]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    return {
        "steps": trainer.state.global_step,
        "epochs": round(float(trainer.state.epoch or 0.0), 4),
        "last_loss": losses[-1] if losses else None,
        "processes": processes.num_processes,
        "device": str(arguments.device),
        "seconds_since_last_start": round(spent, 1),
        "tokens_per_second": round(trainer.tokens * processes.num_processes / max(spent, 1e-9)),
        "best": trainer.state.best_metric,
        "averaged": averaged,
        "history": history,
    }
