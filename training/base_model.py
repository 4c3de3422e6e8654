"""The model that is trained: its weights, layers, dropout and tokenizer, read and written."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer, resolve_model, tokenizer_folder
from lodestone.training.recipe import Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What a configuration calls the dropout of its layers, in all families that have readers.
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "qa_dropout",
    "classifier_dropout",
    "classifier_dropout_prob",
    "embedding_dropout",
    "mlp_dropout",
    "pooler_dropout",
)
_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json")


def load_base_model(recipe: Recipe) -> Any:
    """The base model of a recipe with a head for spans, in float32; what it lacks of the head is drawn by the seed.

    :param recipe: The recipe.
    :returns: The model of transformers.
    :raises ConfigurationError: If there is no such model, it has no reader, or not the layers that are to be kept.
    """
    import transformers

    folder = resolve_model(recipe.model)
    transformers.set_seed(recipe.training.seed)
    try:
        config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
        config.num_labels = 2
        _set_dropout(config, recipe.training.dropout)
        with quiet_transformers():
            model, found = transformers.AutoModelForQuestionAnswering.from_pretrained(
                str(folder), config=config, local_files_only=True, output_loading_info=True, dtype="float32"
            )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        raise ConfigurationError(
            f"{recipe.model} cannot be trained as a reader: {str(error).splitlines()[0]}"
        ) from error
    missing = sorted(name for name in found["missing_keys"] if "qa_outputs" not in name)
    if missing:
        raise ConfigurationError(f"{recipe.model} lacks weights: {', '.join(missing[:5])}; name a whole model")
    if recipe.layers is not None:
        keep_layers(model, recipe.layers)
    model.get_input_embeddings().weight.requires_grad_(not recipe.training.freeze_embeddings)
    return model


def keep_layers(model: Any, layers: Sequence[int]) -> None:
    """Drop all layers of an encoder but some.

    :param model: The model of transformers; it is changed.
    :param layers: The layers to keep, in this order, from 1.
    :raises ConfigurationError: If it has no such layers, or shares one set of weights among them.
    """
    from torch.nn import ModuleList

    count = int(model.config.num_hidden_layers)
    lists = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, ModuleList) and len(child) == count and model.config.model_type != "albert"
    ]
    if len(lists) != 1:
        raise ConfigurationError(f"layers cannot be chosen of a model of type {model.config.model_type!r}")
    if max(layers) > count or len(set(layers)) < len(layers):
        raise ConfigurationError(f"layers must be different numbers from 1 to {count}, got {list(layers)}")
    parent, name, child = lists[0]
    setattr(parent, name, ModuleList([child[number - 1] for number in layers]))
    model.config.num_hidden_layers = len(layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[number - 1] for number in layers]


def load_base_tokenizer(recipe: Recipe) -> Tokenizer:
    """The tokenizer of a recipe.

    :param recipe: The recipe.
    :raises ConfigurationError: If there is none.
    """
    from tokenizers import normalizers

    tokenizer = load_tokenizer(_tokenizer_name(recipe))
    if recipe.lower_case:
        held = [tokenizer.normalizer] if tokenizer.normalizer is not None else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *held])
    return tokenizer


def save_reader(model: Any, tokenizer: Tokenizer, recipe: Recipe, folder: Path) -> None:
    """Write a reader as a model folder.

    :param model: The trained model; its weights are changed to the type that is written.
    :param tokenizer: Its tokenizer.
    :param recipe: The recipe.
    :param folder: The folder; it is made.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model.to(getattr(torch, recipe.weights)).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):  # safetensors makes files that nobody else may read
        path.chmod(stat.S_IMODE((folder / "config.json").stat().st_mode))
    tokenizer.save(str(folder / "tokenizer.json"))
    source = tokenizer_folder(_tokenizer_name(recipe))
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _tokenizer_name(recipe: Recipe) -> str:
    return recipe.tokenizer if recipe.tokenizer is not None else recipe.model


def _set_dropout(config: Any, dropout: float | None) -> None:
    for name in _DROPOUTS if dropout is not None else ():
        if isinstance(getattr(config, name, None), int | float):
            setattr(config, name, dropout)
