"""Every family of models that the hub has readers of, small and with random weights, against plain transformers code.

The published readers that the families stand for, and how each is loaded:
csarron/roberta-large-squad-v1, mrm8488/roberta-base-1B-1-finetuned-squadv2, deepset/roberta-base-squad2 and
deepset/tinyroberta-squad2 by their name alone, mrm8488/spanbert-large-finetuned-squadv1 with
`tokenizer="SpanBERT/spanbert-large-cased"`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from haystack import Document
from reader_reference import read
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.question_answering_pipeline import QuestionAnsweringPipeline

QUESTION = "When does the harbour close, and who gave the compasses?"
PASSAGES = [
    "The lighthouse of Varnholm was built by Ida Holm in 1911. It is 34 metres tall and has 181 steps.",
    "The harbour opens at six in the morning and closes at ten in the evening, except on public holidays. " * 7,
    "Café Ærø 🐙 serves smørrebrød – open since 1902 – and naïve tourists; Zoë Ångström-O'Neill runs it.",
    "In winter the museum is closed. Its collection of compasses was given by the widow of Captain Lind. " * 4,
    "闭馆时间是晚上十点。博物馆冬天关闭。",
]
SIZES = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}

# Short answers, so that every span can be compared: of the best ones alone two may change places at the last digit.
LONGEST = 2

Make = Callable[[Path], Any]


def word_pieces(*specials: str) -> dict[str, int]:
    """A WordPiece vocabulary, the special tokens first."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(PASSAGES, trainers.WordPieceTrainer(vocab_size=400, special_tokens=list(specials)))
    return tokenizer.get_vocab()


def unigrams(*specials: str, unknown: str = "<unk>") -> list[tuple[str, float]]:
    """A Unigram vocabulary with its scores, the special tokens first, as SentencePiece models hold."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=list(specials), unk_token=unknown)
    tokenizer.train_from_iterator(PASSAGES * 4, trainer)
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


def byte_pairs() -> Any:
    """ModernBERT's kind of tokenizer: byte-level BPE with BERT's special tokens."""
    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(PASSAGES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    named = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), specials, strict=True))
    names = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **named)


def roberta_tokenizer(shared: Path) -> Any:
    return AutoTokenizer.from_pretrained(shared / "tokenizers" / "roberta-base")


def bert_tokenizer(shared: Path) -> Any:
    return AutoTokenizer.from_pretrained(shared / "tokenizers" / "bert-base-cased")


def xlm_tokenizer(_: Path) -> Any:
    vocabulary = unigrams("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    return transformers.XLMRobertaTokenizer(vocab=vocabulary)


def albert_tokenizer(_: Path) -> Any:
    return transformers.AlbertTokenizer(vocab=unigrams("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))


def deberta_tokenizer(_: Path) -> Any:
    vocabulary = unigrams("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", unknown="[UNK]")
    return transformers.DebertaV2Tokenizer(vocab=vocabulary)


def big_bird_tokenizer(_: Path) -> Any:
    return transformers.BigBirdTokenizer(vocab=unigrams("<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))


def electra_tokenizer(_: Path) -> Any:
    return transformers.BertTokenizer(vocab=word_pieces("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))


def distilbert_tokenizer(_: Path) -> Any:
    vocabulary = word_pieces("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return transformers.BertTokenizer(vocab=vocabulary, model_input_names=["input_ids", "attention_mask"])


def mpnet_tokenizer(_: Path) -> Any:
    return transformers.MPNetTokenizer(vocab=word_pieces("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"))


def modernbert_tokenizer(_: Path) -> Any:
    return byte_pairs()


# Family: its configuration class, tokenizer, settings as published, and tokens of a window that the model has room for.
FAMILIES: dict[str, tuple[str, Make, dict[str, Any], int]] = {
    "roberta-base": ("RobertaConfig", roberta_tokenizer, {"num_hidden_layers": 12, "type_vocab_size": 1}, 128),
    "roberta-large": ("RobertaConfig", roberta_tokenizer, {"num_hidden_layers": 24, "type_vocab_size": 1}, 128),
    "tinyroberta": ("RobertaConfig", roberta_tokenizer, {"num_hidden_layers": 6, "type_vocab_size": 1}, 128),
    "bert-cased": ("BertConfig", bert_tokenizer, {"num_hidden_layers": 3, "type_vocab_size": 2}, 128),
    "spanbert-large": ("BertConfig", bert_tokenizer, {"num_hidden_layers": 24, "type_vocab_size": 2}, 128),
    "albert": (
        "AlbertConfig",
        albert_tokenizer,
        {"num_hidden_layers": 4, "embedding_size": 16, "inner_group_num": 1, "type_vocab_size": 2},
        128,
    ),
    "electra": ("ElectraConfig", electra_tokenizer, {"num_hidden_layers": 3, "embedding_size": 16}, 128),
    "deberta-v2": (
        "DebertaV2Config",
        deberta_tokenizer,
        {
            "num_hidden_layers": 3,
            "type_vocab_size": 0,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
        128,
    ),
    "deberta-v3": (
        "DebertaV2Config",
        deberta_tokenizer,
        {
            "num_hidden_layers": 3,
            "type_vocab_size": 0,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "position_buckets": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "max_relative_positions": -1,
        },
        128,
    ),
    "distilbert": ("DistilBertConfig", distilbert_tokenizer, {"n_layers": 3, "dim": 32, "n_heads": 2}, 128),
    "mpnet": ("MPNetConfig", mpnet_tokenizer, {"num_hidden_layers": 3}, 128),
    "xlm-roberta": ("XLMRobertaConfig", xlm_tokenizer, {"num_hidden_layers": 3, "type_vocab_size": 1}, 128),
    "modernbert": (
        "ModernBertConfig",
        modernbert_tokenizer,
        {"num_hidden_layers": 4, "local_attention": 32, "global_attn_every_n_layers": 3},
        128,
    ),
    "longformer": (
        "LongformerConfig",
        roberta_tokenizer,
        {"num_hidden_layers": 2, "type_vocab_size": 1, "attention_window": [16, 16]},
        512,
    ),
    "big_bird": (
        "BigBirdConfig",
        big_bird_tokenizer,
        {"num_hidden_layers": 2, "type_vocab_size": 2, "block_size": 8, "num_random_blocks": 2},
        512,
    ),
}
# Their position ids begin behind the padding's, so a table of 514 has room for 512 tokens.
SHIFTED = {"roberta-base", "roberta-large", "tinyroberta", "mpnet", "xlm-roberta", "longformer"}


def make_model(family: str, shared: Path) -> tuple[Any, Any]:
    """A family's model with random weights, spread enough that its spans are told apart, and its tokenizer."""
    config_class, make_tokenizer, settings, length = FAMILIES[family]
    tokenizer = make_tokenizer(shared)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    sizes = SIZES if family != "distilbert" else {"hidden_dim": 64}
    config = getattr(transformers, config_class)(
        vocab_size=len(tokenizer),
        max_position_embeddings=length + (tokenizer.pad_token_id + 1 if family in SHIFTED else 0),
        sep_token_id=tokenizer.sep_token_id,
        cls_token_id=tokenizer.cls_token_id,
        **{"initializer_range": 0.2, **special, **sizes, **settings},
    )
    torch.manual_seed(0)
    return AutoModelForQuestionAnswering.from_config(config, dtype=torch.float32).eval(), tokenizer


def with_segments(tokenizer: Any, model: Any) -> Any:
    """The tokenizer made to give segment ids to a model that was trained with them.

    transformers 5 forgets them for ALBERT, whose tokenizer gave them in transformers 4.
    """
    if getattr(model.config, "type_vocab_size", 0) > 1:
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A family's model folder, its tokenizer as transformers loads it, and the tokens of a window."""
    folder = tmp_path_factory.mktemp(request.param)
    model, tokenizer = make_model(request.param, shared)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, with_segments(AutoTokenizer.from_pretrained(folder), model), FAMILIES[request.param][3]


def expected(model: Any, tokenizer: Any, passage: str, length: int, stride: int) -> dict[tuple[int, int], float]:
    """The best margin of each quote of a passage by the reference, one window at a time."""
    best: dict[tuple[int, int], float] = {}
    for margin, start, end in read(model, tokenizer, QUESTION, passage, length, stride, LONGEST, count=100_000):
        quote = passage[start:end]
        if quote.strip():
            place = (start + len(quote) - len(quote.lstrip()), start + len(quote.rstrip()))
            best[place] = max(margin, best.get(place, -1e9))
    return best


def quoted(reader: ExtractiveReader, passages: list[str]) -> list[dict[tuple[int, int], float]]:
    """The margin of each quote of each passage, all passages read in one call."""
    documents = [Document(content=passage) for passage in passages]
    found: dict[str, dict[tuple[int, int], float]] = {document.id: {} for document in documents}
    for answer in reader.run(QUESTION, documents, top_k=1_000_000)["answers"]:
        place = answer.document_offset
        found[answer.document.id][place.start, place.end] = answer.meta["margin"]
    return [found[document.id] for document in documents]


def assert_equal(ours: dict[tuple[int, int], float], wanted: dict[tuple[int, int], float]) -> None:
    assert ours.keys() == wanted.keys()
    assert [ours[place] for place in wanted] == pytest.approx(list(wanted.values()), abs=5e-4)


def make_reader(folder: Path, **settings: Any) -> ExtractiveReader:
    """A reader of the torch engine in float32, which is what can be compared to the last digits."""
    return ExtractiveReader(
        str(folder),
        no_answer=False,
        overlap_threshold=None,
        max_answer_length=LONGEST,
        answers_per_seq=100_000,
        model_kwargs={"dtype": "float32"},
        **settings,
    )


def test_every_span_and_margin_is_that_of_plain_transformers_code(family: Any) -> None:
    folder, tokenizer, length = family
    for window, stride in ((length, 32), (64, 16)):
        found = quoted(make_reader(folder, max_seq_length=window, stride=stride), PASSAGES)
        for passage, ours in zip(PASSAGES, found, strict=True):
            fresh = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32).eval()
            assert_equal(ours, expected(fresh, tokenizer, passage, window, stride))


def test_a_window_longer_than_the_model_has_positions_for_is_cut_to_what_it_has(family: Any) -> None:
    folder, tokenizer, length = family
    long = PASSAGES[0] * 2
    while len(tokenizer(QUESTION, long)["input_ids"]) < length + 10:
        long += PASSAGES[0]
    fresh = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32).eval()
    [ours] = quoted(make_reader(folder, max_seq_length=length * 2, stride=32), [long])
    assert_equal(ours, expected(fresh, tokenizer, long, length, 32))


def test_the_pipeline_reads_every_family(family: Any) -> None:
    folder, tokenizer, _ = family
    fresh = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32).eval()
    pipe = QuestionAnsweringPipeline(model=fresh, tokenizer=tokenizer, device="cpu")
    settings = {"max_seq_len": 64, "doc_stride": 16, "top_k": 100_000, "max_answer_len": 2, "align_to_words": False}
    together = pipe([{"question": QUESTION, "context": passage} for passage in PASSAGES], **settings)
    for passage, answers in zip(PASSAGES, together, strict=True):
        alone = pipe(question=QUESTION, context=passage, batch_size=1, **settings)
        scores = {each["answer"]: each["score"] for each in alone}
        assert {each["answer"]: each["score"] for each in answers} == pytest.approx(scores, abs=1e-5)
        assert all(passage[each["start"] : each["end"]] == each["answer"] for each in answers)


@pytest.mark.parametrize("name", ["bert-cased", "spanbert-large"])
def test_a_tokenizer_from_another_folder_is_used(name: str, shared: Path, tmp_path: Path) -> None:
    model, tokenizer = make_model(name, shared)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    settings = {"max_seq_length": 128, "stride": 32}
    reader = make_reader(tmp_path / "model", tokenizer=str(tmp_path / "tokenizer"), **settings)
    [ours] = quoted(reader, [PASSAGES[1]])
    assert_equal(ours, expected(model, tokenizer, PASSAGES[1], 128, 32))
    with pytest.raises(ConfigurationError, match="holds no tokenizer"):
        make_reader(tmp_path / "model", **settings).warm_up()


@pytest.mark.parametrize("name", ["longformer", "big_bird"])
def test_windows_of_long_models_hold_a_whole_passage(name: str, shared: Path, tmp_path: Path) -> None:
    model, tokenizer = make_model(name, shared)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    passage = PASSAGES[1][:300] + PASSAGES[0] + PASSAGES[3][:200]
    assert 112 < len(tokenizer(QUESTION, passage)["input_ids"]) < 512
    reader = make_reader(tmp_path, max_seq_length=512)
    [whole] = quoted(reader, [passage])
    assert_equal(whole, expected(model, tokenizer, passage, 512, 128))
    # A short passage read before or beside it changes nothing.
    quoted(reader, [PASSAGES[0]])
    assert_equal(quoted(reader, [passage])[0], whole)
    assert_equal(quoted(reader, [PASSAGES[0], passage])[1], whole)


def test_a_longformer_reads_passages_that_hold_its_separator(shared: Path, tmp_path: Path) -> None:
    model, tokenizer = make_model("longformer", shared)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reader = make_reader(tmp_path, max_seq_length=512)
    [plain, odd] = quoted(reader, [PASSAGES[0], "A page may hold </s> and <s> as they stand."])
    assert_equal(plain, expected(model, tokenizer, PASSAGES[0], 512, 128))
    assert odd
