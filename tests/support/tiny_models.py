"""Small models with random weights, one of each family that has extractive readers."""

from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 300
FAMILIES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "electra",
    "albert",
    "distilbert",
    "mpnet",
    "deberta",
    "deberta-v2",
    "modernbert",
    "camembert",
)
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.3,
}


def config_of(family: str) -> Any:
    """A small configuration of a family, with weights so large that mistakes show."""
    import transformers

    special: dict[str, dict[str, Any]] = {
        "roberta": {"type_vocab_size": 1, "pad_token_id": 1},
        "xlm-roberta": {"type_vocab_size": 1, "pad_token_id": 1},
        "camembert": {"type_vocab_size": 1, "pad_token_id": 1},
        "electra": {"embedding_size": 16},
        "albert": {"embedding_size": 16},
        "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
        # As microsoft/deberta-v3-base has it.
        "deberta-v2": {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "max_relative_positions": -1,
        },
        "modernbert": {
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
            "num_hidden_layers": 4,
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
        },
    }
    if family == "distilbert":
        return transformers.DistilBertConfig(
            vocab_size=VOCABULARY,
            dim=32,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
            max_position_embeddings=130,
            initializer_range=0.3,
        )
    return transformers.AutoConfig.for_model(family, **{**_SIZES, **special.get(family, {})})


def save_model(family: str, folder: Path, reader: bool = True, dtype: str = "float32") -> Any:
    """Make a model of a family and save it.

    :param family: One of `FAMILIES`.
    :param folder: Where to save it.
    :param reader: Whether it is an extractive reader, else an encoder.
    :param dtype: The type of the saved weights.
    :returns: The model, in float32, with the weights that were saved.
    """
    import torch
    from transformers import AutoModel, AutoModelForQuestionAnswering

    torch.manual_seed(0)
    cls: Any = AutoModelForQuestionAnswering if reader else AutoModel
    cls.from_config(config_of(family)).to(getattr(torch, dtype)).save_pretrained(folder)
    return cls.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def make_inputs(windows: int, tokens: int, segments: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch whose last windows are padded."""
    random = np.random.default_rng(seed)
    ids = random.integers(5, VOCABULARY, (windows, tokens))
    mask = np.ones_like(ids)
    for row in range(1, windows):
        mask[row, tokens - row * tokens // (windows + 1) :] = 0
    ids[mask == 0] = 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    if segments:
        inputs["token_type_ids"] = (np.arange(tokens) > tokens // 2).astype(np.int64) * mask
    return inputs
