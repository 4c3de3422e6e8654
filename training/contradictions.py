"""What in a recipe does not go together, though each value of it may be."""

from collections.abc import Iterator

from lodestone.training.recipe import Distillation, Evaluation, Negatives, Recipe

Contradiction = tuple[tuple[str, ...], str]
"""The keys where it is to be mended, and what is wrong."""


def contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """All of them.

    :param recipe: A recipe whose values are right each by itself.
    """
    training, windows = recipe.training, recipe.windows
    if training.device_batch_size is not None and training.device_batch_size > training.batch_size:
        message = f"device_batch_size {training.device_batch_size} is above batch_size {training.batch_size}"
        yield ("training", "device_batch_size"), message
    if windows.max_query_length + windows.stride >= windows.max_seq_length:
        yield (
            ("windows", "max_seq_length"),
            f"max_seq_length {windows.max_seq_length} leaves no room beside a question of max_query_length "
            f"{windows.max_query_length} tokens and a stride of {windows.stride}; raise it, or lower these",
        )
    yield from _of_negatives(recipe.negatives)
    if recipe.distillation is not None:
        yield from _of_distillation(recipe, recipe.distillation)
    if recipe.evaluation is not None:
        yield from _of_evaluation(recipe, recipe.evaluation)


def _of_negatives(negatives: Negatives) -> Iterator[Contradiction]:
    if negatives.share == 0 and negatives != Negatives():
        yield ("negatives",), "share is 0, so there are none: set negatives.share, to 1 for every answerable question"
    most = negatives.top_k * len(set(negatives.search))
    if negatives.per_question > most:
        yield (
            ("negatives", "per_question"),
            f"per_question {negatives.per_question} is more than the searches find, {most}; raise negatives.top_k",
        )


def _of_distillation(recipe: Recipe, distillation: Distillation) -> Iterator[Contradiction]:
    teachers, shared = distillation.teacher, recipe.training.shared_normalization
    if len(set(teachers)) < len(teachers):
        yield ("distillation", "teacher"), "a teacher is named twice; name each once"
    if distillation.kind == "prediction":
        if shared and distillation.weight == 1:
            yield (
                ("training", "shared_normalization"),
                "it is a loss of the labels, which count nothing where distillation.weight is 1; lower one of them",
            )
        return
    if len(teachers) > 1:
        yield (
            ("distillation", "teacher"),
            f"the layers of one teacher are learned, not of {len(teachers)}; name one, or take kind: prediction",
        )
    if shared:
        yield (
            ("training", "shared_normalization"),
            "it is a loss of the labels, and kind: intermediate learns layers alone; drop it",
        )
    for name, there in (("evaluation", recipe.evaluation), ("calibration", recipe.calibration)):
        if there is not None:
            yield (name,), f"kind: intermediate makes an encoder, whose head answers no questions yet; drop {name}"


def _of_evaluation(recipe: Recipe, evaluation: Evaluation) -> Iterator[Contradiction]:
    if evaluation.keep_best and recipe.averaging is not None:
        yield (
            ("averaging",),
            "the result is the mean of the weights or the best of them: drop averaging, or evaluation.keep_best",
        )
    if evaluation.every is None and (evaluation.keep_best or evaluation.patience is not None):
        yield ("evaluation",), "evaluation.every is missing, which keep_best and patience need"
    elif evaluation.keep_best and evaluation.every and recipe.checkpoints.every % evaluation.every:
        yield (
            ("checkpoints", "every"),
            f"checkpoints.every {recipe.checkpoints.every} must be a multiple of evaluation.every {evaluation.every} "
            "where keep_best is true, for the best model is one of the checkpoints",
        )
