"""The settings in docs/readers.md load and read, on small models with random weights in place of the published ones."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from haystack import Document
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering, RobertaConfig, RobertaForQuestionAnswering

from lodestone import ExtractiveReader

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "readers.md"
TEXT = GUIDE.read_text(encoding="utf-8")
YAML = [yaml.safe_load(block)["reader"] for block in re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.M | re.S)]
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
PASSAGE = "The lighthouse of Varnholm was built by Ida Holm in 1911 and painted white. " * 60
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def folders(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder for each published name: the model by its architecture, the tokenizer where it has one of its own."""
    torch.manual_seed(0)
    roberta, spanbert = (tmp_path_factory.mktemp(name) for name in ("roberta", "spanbert"))
    tokenizers = shared / "tokenizers"
    config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, **SIZES)
    RobertaForQuestionAnswering(config).save_pretrained(roberta)
    AutoTokenizer.from_pretrained(tokenizers / "roberta-base").save_pretrained(roberta)
    BertForQuestionAnswering(BertConfig(vocab_size=28996, **SIZES)).save_pretrained(spanbert)
    published = re.findall(r"^\| `([\w-]+/[\w.-]+)`", TEXT, re.M)
    return {
        **{name: str(spanbert if "spanbert" in name else roberta) for name in published if "lodestone" not in name},
        "SpanBERT/spanbert-large-cased": str(tokenizers / "bert-base-cased"),
    }


def test_every_reader_of_the_table_has_its_yaml() -> None:
    rows = re.findall(r"^\| `([\w-]+/[\w.-]+)`[^|]*\| (\d+) \| (?:`(.*?)`|its own) \| (yes|no)", TEXT, re.M)
    assert len(rows) == 6
    written = {
        (
            given["model"],
            given.get("max_seq_length", 384),
            given.get("tokenizer", ""),
            "yes" if given.get("no_answer", True) else "no",
        )
        for given in (definition["init_parameters"] for definition in YAML)
    }
    assert written == {(name, int(length), tokenizer, no) for name, length, tokenizer, no in rows[1:]}


@pytest.mark.parametrize("definition", YAML, ids=[each["init_parameters"]["model"] for each in YAML])
def test_the_settings_load_and_give_exact_quotes(definition: dict[str, Any], folders: dict[str, str]) -> None:
    given = definition["init_parameters"]
    named = {name: folders[given[name]] for name in ("model", "tokenizer") if name in given}
    reader = ExtractiveReader.from_dict({**definition, "init_parameters": {**given, **named, "device": "cpu"}})
    result = reader.run("Who built the lighthouse of Varnholm?", [Document(content=PASSAGE)])
    for answer in result["answers"]:
        if answer.data is None:
            assert given.get("no_answer", True)
        else:
            assert PASSAGE[answer.document_offset.start : answer.document_offset.end] == answer.data
    assert any(answer.data for answer in result["answers"])
    smaller = reader.run("Who built it?", [Document(content=PASSAGE)], max_seq_length=200)
    assert smaller["meta"]["windows"] > result["meta"]["windows"] > 1


@pytest.mark.parametrize("block", PYTHON)
def test_the_python_runs(block: str, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, folder in folders.items():
        block = block.replace(f'"{name}"', repr(folder))
    exec(compile(block, str(GUIDE), "exec"), {})
