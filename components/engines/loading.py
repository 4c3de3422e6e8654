"""A model of transformers, loaded from its folder for one task."""

from pathlib import Path
from typing import Any

from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.engines.task import Task
from lodestone.components.errors import ConfigurationError

# Families whose position ids start behind the padding id, so that many positions less than the table has are usable.
_OFFSET_POSITIONS = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer"}
)


def load_model(folder: Path, task: Task, **kwargs: Any) -> Any:
    """Load a model, and refuse a folder that lacks the weights of its head.

    :param folder: The model's folder.
    :param task: What it is for.
    :param kwargs: Passed on to `from_pretrained`.
    :returns: The model of transformers, not to be trained.
    :raises ConfigurationError: The folder cannot be loaded for this task.
    """
    import transformers

    what = "an extractive reader" if task.head else "an encoder"
    try:
        with quiet_transformers():
            model, report = getattr(transformers, task.auto_class).from_pretrained(
                str(folder), local_files_only=True, output_loading_info=True, **kwargs
            )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"{folder} cannot be loaded as {what}: {reason}") from error
    missing = sorted(name for name in report["missing_keys"] if task.head and task.head in name)
    if missing:
        raise ConfigurationError(
            f"{folder} is not an extractive reader: its weights lack {', '.join(missing)}; "
            "name a model that was fine-tuned for question answering"
        )
    return model.eval()


def max_length(config: Any) -> int:
    """Tokens that a model has positions for; models with relative positions only state a large number or none."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return 1 << 20
    if config.model_type in _OFFSET_POSITIONS:
        return positions - int(config.pad_token_id) - 1
    return positions


def takes_segments(model: Any) -> bool:
    """Whether a model tells the two parts of its input apart."""
    return int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
