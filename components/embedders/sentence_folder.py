"""What a sentence-transformers folder says its model is made of."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.components.embedders.pooling import ACTIVATIONS, POOLING_MODES, Dense, Step, normalized
from lodestone.components.engines.engine import FloatArray

_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_MODEL_FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
_ENOUGH = 1 << 20


class UnknownModuleError(Exception):
    """The folder has a module or a setting that only sentence-transformers itself knows."""


@dataclass(frozen=True)
class SentenceFolder:
    """An embedding model of an encoder, a pooling and steps behind it.

    :param encoder: Folder of the transformers model and its tokenizer.
    :param modes: How token vectors are pooled.
    :param steps: What is done with the pooled vectors, in order.
    :param max_length: The most tokens of a text, special ones counted.
    :param lower_case: Whether texts are lower-cased whatever the tokenizer does.
    :param prompts: What is put before a question (`"query"`) and before a passage (`"document"`).
    :param pad_id: The token that fills a batch up.
    """

    encoder: Path
    modes: tuple[str, ...]
    steps: tuple[Step, ...]
    max_length: int
    lower_case: bool
    prompts: dict[str, str]
    pad_id: int


def read_folder(folder: Path) -> SentenceFolder:
    """Read a sentence-transformers folder, without importing that library.

    :param folder: The model's folder.
    :returns: What the model is made of.
    :raises UnknownModuleError: It has something that is not known here.
    """
    modules = _json(folder / "modules.json")
    if not isinstance(modules, list) or len(modules) < 2:
        raise UnknownModuleError("it has no modules.json with a transformer and a pooling")
    kinds = [_kind(module) for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise UnknownModuleError(f"its modules are {', '.join(kinds)}")
    paths = [folder / str(module["path"]) for module in modules]
    encoder = paths[0]
    settings = _transformer_settings(encoder)
    words, config = _json(encoder / "tokenizer_config.json"), _json(encoder / "config.json")
    if words.get("padding_side", "right") != "right":
        raise UnknownModuleError("it pads on the left")
    return SentenceFolder(
        encoder=encoder,
        modes=_modes(_json(paths[1] / "config.json")),
        steps=tuple(_step(kind, path) for kind, path in zip(kinds[2:], paths[2:], strict=True)),
        max_length=_max_length(settings, words, config),
        lower_case=bool(settings.get("do_lower_case", False)),
        prompts=_prompts(folder),
        pad_id=int(config.get("pad_token_id") or 0),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UnknownModuleError(f"{path.name} cannot be read: {error}") from error


def _kind(module: dict[str, Any]) -> str:
    package, _, kind = str(module.get("type", "")).rpartition(".")
    if package.split(".")[0] != "sentence_transformers":
        raise UnknownModuleError(f"it has a module of its own, {module.get('type')}")
    return kind


def _transformer_settings(encoder: Path) -> dict[str, Any]:
    """The encoder's settings, of which only some change nothing but length and case."""
    for family in _MODEL_FAMILIES:
        settings: dict[str, Any] = _json(encoder / f"sentence_{family}_config.json")
        if settings:
            break
    for name, value in settings.items():
        plain = (
            name in {"max_seq_length", "do_lower_case"}
            or value in (None, {}, [])
            or (name == "transformer_task" and value == "feature-extraction")
            or (name == "module_output_name" and value == "token_embeddings")
            or (name == "modality_config" and value == _TEXT_ONLY)
        )
        if not plain:
            raise UnknownModuleError(f"its encoder has the setting {name}={value!r}")
    return settings


def _max_length(settings: dict[str, Any], words: dict[str, Any], config: dict[str, Any]) -> int:
    stated = settings.get("max_seq_length")
    if stated is not None:
        return int(stated)
    limits = [words.get("model_max_length"), config.get("max_position_embeddings")]
    return min([int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0], default=_ENOUGH)


def _modes(config: dict[str, Any]) -> tuple[str, ...]:
    if not config.get("include_prompt", True):
        raise UnknownModuleError("its pooling leaves the prompt out")
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _LEGACY_MODES.items() if config.get(key)] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in POOLING_MODES]
    if unknown:
        raise UnknownModuleError(f"it pools by {', '.join(map(str, unknown))}")
    return modes


def _step(kind: str, path: Path) -> Step:
    config = _json(path / "config.json")
    places = {config.get("module_input_name") or "sentence_embedding"}
    places.add(config.get("module_output_name") or "sentence_embedding")
    if places != {"sentence_embedding"}:
        raise UnknownModuleError(f"its {kind} does not work on the pooled vectors alone")
    if kind == "Normalize":
        return normalized
    if kind == "Dense":
        return _dense(path, config)
    raise UnknownModuleError(f"it has a {kind} module")


def _dense(path: Path, config: dict[str, Any]) -> Dense:
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if config.get("use_residual") or activation not in ACTIVATIONS:
        raise UnknownModuleError(f"its dense layer has {activation} or a residual")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights = load_file(path / "model.safetensors")
        bias = weights.get("linear.bias")
        return Dense(_float(weights["linear.weight"]), None if bias is None else _float(bias), activation)
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise UnknownModuleError(f"its dense layer's weights cannot be read without torch: {error}") from error


def _float(array: Any) -> FloatArray:
    return np.ascontiguousarray(array, dtype=np.float32)


def _prompts(folder: Path) -> dict[str, str]:
    """Prompts as `encode_query` and `encode_document` choose them: by these two names, else none."""
    given = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return {name: given.get(name) or "" for name in ("query", "document")}
