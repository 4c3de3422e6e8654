import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lodestone.components.embedders import PassageEmbedder, TextEmbedder
from lodestone.components.embedders.embedding_model import shared_model
from lodestone.components.embedders.engine_model import EngineModel, pack_by_length
from lodestone.components.embedders.torch_model import TorchModel
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_EMBEDDER, resolve_model

TEXTS = [
    "How many hours?",
    "  The server shall listen on port L.\n",
    "",
    "漢字とemoji 😀 Ünï",
    "A long one, and longer. " * 30,
    "word",
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path / "cache"))


def encoder(folder: Path, family: str = "bert") -> Path:
    """A small encoder with random weights and the bundled embedder's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
    extra: dict[str, Any] = {"local_attention": 8, "global_attn_every_n_layers": 2} if family == "modernbert" else {}
    special = {"bos_token_id": 101, "eos_token_id": 102, "cls_token_id": 101, "sep_token_id": 102, "pad_token_id": 0}
    config = AutoConfig.for_model(
        family, vocab_size=30522, max_position_embeddings=140, initializer_range=0.3, **sizes, **special, **extra
    )
    AutoModel.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve_model(DEFAULT_EMBEDDER)).save_pretrained(folder)
    return folder


def build(folder: Path, pooling: Any = "mean", steps: tuple[Any, ...] = (), family: str = "bert", **more: Any) -> Any:
    """A sentence-transformers model, saved by that library, and as it loads it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    transformer = Transformer(str(encoder(folder.parent / "encoder", family)), max_seq_length=more.pop("length", 60))
    model = SentenceTransformer(modules=[transformer, Pooling(32, pooling), *steps], device="cpu", **more)
    model.save(str(folder))
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def assert_equal(folder: Path, reference: Any) -> None:
    for query, encode in ((True, reference.encode_query), (False, reference.encode_document)):
        model = shared_model(str(folder), "cpu", "float32", "openvino")
        assert isinstance(model, EngineModel)
        expected = encode(TEXTS, show_progress_bar=False)
        assert model.dimension == reference.get_embedding_dimension() == expected.shape[1]
        found = model.embed(TEXTS, query=query, batch_size=3)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean")]
)
def test_every_pooling_gives_what_sentence_transformers_gives(pooling: Any, tmp_path: Path) -> None:
    assert_equal(tmp_path / "model", build(tmp_path / "model", pooling))


def test_folders_of_older_versions_are_read(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    folder = tmp_path / "model"
    build(folder, "cls", (Normalize(),))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 50, "do_lower_case": false}')
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert_equal(folder, SentenceTransformer(str(folder), device="cpu", local_files_only=True))


def test_dense_layers_and_normalisation_are_applied_in_order(tmp_path: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    torch.manual_seed(1)
    steps = (Dense(32, 16), Dense(16, 8, bias=False, activation_function=torch.nn.Identity()), Normalize())
    assert_equal(tmp_path / "model", build(tmp_path / "model", "mean", steps))


def test_a_model_with_local_attention_is_right_beside_padding(tmp_path: Path) -> None:
    assert_equal(tmp_path / "model", build(tmp_path / "model", "mean", family="modernbert"))


@pytest.mark.parametrize(
    "prompts",
    [{"query": "query: ", "document": "passage: "}, {"query": "query: ", "passage": "passage: "}, {"other": "x "}],
)
def test_prompts_are_chosen_as_sentence_transformers_chooses_them(prompts: dict[str, str], tmp_path: Path) -> None:
    more = {"prompts": prompts, "default_prompt_name": "other" if "other" in prompts else None}
    assert_equal(tmp_path / "model", build(tmp_path / "model", "mean", **more))


@pytest.mark.parametrize("stated", [None, 500])
def test_without_a_usable_maximum_length_it_is_what_the_model_takes(stated: int | None, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    build(tmp_path / "model")
    settings = tmp_path / "model" / "sentence_bert_config.json"
    content = json.loads(settings.read_text())
    content.pop("max_seq_length", None)
    settings.write_text(json.dumps(content if stated is None else {**content, "max_seq_length": stated}))
    words = tmp_path / "model" / "tokenizer_config.json"
    words.write_text(json.dumps({**json.loads(words.read_text()), "model_max_length": 512}))
    reference = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    reference.max_seq_length = 140
    assert_equal(tmp_path / "model", reference)


def test_texts_are_lower_cased_where_the_folder_says_so(shared: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    build(tmp_path / "model")
    for file in (shared / "tokenizers" / "bert-base-cased").iterdir():
        shutil.copy(file, tmp_path / "model")
    settings = tmp_path / "model" / "sentence_bert_config.json"
    settings.write_text(json.dumps({"max_seq_length": 60, "do_lower_case": True}))
    assert_equal(tmp_path / "model", SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True))


def test_a_folder_with_another_module_is_left_to_sentence_transformers_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    reference = build(tmp_path / "model", "mean", (LayerNorm(32),))
    with caplog.at_level(logging.WARNING):
        model = shared_model(str(tmp_path / "model"), "cpu", "float32")
    assert isinstance(model, TorchModel)
    assert caplog.text.count("LayerNorm") == 1
    np.testing.assert_allclose(model.embed(TEXTS, query=False), reference.encode_document(TEXTS), atol=1e-5)
    with pytest.raises(ConfigurationError, match=r"LayerNorm.*use engine 'torch'"):
        PassageEmbedder(str(tmp_path / "model"), engine="openvino").warm_up()


def test_int8_that_was_not_made_is_refused_with_what_to_do(tmp_path: Path) -> None:
    build(tmp_path / "model")
    with pytest.raises(ConfigurationError, match="lodestone quantize"):
        TextEmbedder(str(tmp_path / "model"), precision="int8").warm_up()


def test_rows_are_packed_by_length_under_the_budget() -> None:
    lengths = [3, 100, 5, 40, 41, 2]
    groups = list(pack_by_length(lengths, max_tokens=90, max_rows=3))
    assert groups == [[1], [4, 3], [2, 0, 5]]
    assert list(pack_by_length([], 10, 10)) == []
    assert [len(group) for group in pack_by_length([1] * 10, 1000, 4)] == [4, 4, 2]
