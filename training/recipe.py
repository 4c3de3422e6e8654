"""What a training run is made of: a recipe, complete with its defaults."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lodestone.components.models.resolve import DEFAULT_EMBEDDER

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SCHEDULES = ("linear", "cosine", "constant")
METRICS = ("f1", "exact", "best_f1", "best_exact")


def _value(default: Any, **limits: Any) -> Any:
    """A field with what its value may be: `least`, `above`, `most`, `below` or `choices`."""
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class DataFile:
    """A file of questions.

    :param file: Its path, SQuAD 1.1 or 2.0.
    :param weight: What one of its questions counts in the loss, beside one of weight 1.
    """

    file: str
    weight: float = _value(1.0, above=0)


@dataclass(frozen=True)
class Data:
    """What is trained on.

    :param files: The files.
    :param unanswerable: Whether questions without an answer belong here; a file that has some is refused otherwise.
    :param start_ambiguous: Where the answer of a question that its file marks `start_ambiguous` stands: at "every"
        place with its words, where it is "stated", or the question is left out ("drop").
    :param bad: Whether bad questions "stop" the run before it begins, or it goes on without them ("skip").
    """

    files: tuple[DataFile, ...]
    unanswerable: bool = True
    start_ambiguous: str = _value("every", choices=("every", "stated", "drop"))
    bad: str = _value("stop", choices=("stop", "skip"))


@dataclass(frozen=True)
class Negatives:
    """Paragraphs that a search finds for a question though they do not hold its answer.

    :param share: The share of the answerable questions that get some, 0 to 1.
    :param per_question: How many each.
    :param search: What finds them, in turns: "bm25", "dense".
    :param top_k: How far down the list of each search they may stand.
    :param embedder: The embedding model of the dense search.
    """

    share: float = _value(0.0, least=0, most=1)
    per_question: int = _value(1, least=1)
    search: tuple[str, ...] = _value(("bm25",), choices=("bm25", "dense"))
    top_k: int = _value(20, least=1)
    embedder: str = DEFAULT_EMBEDDER


@dataclass(frozen=True)
class Windows:
    """How questions and passages are cut: as `ExtractiveReader` does.

    :param max_seq_length: Tokens of a window, question and special tokens counted.
    :param stride: Passage tokens that neighbouring windows share.
    :param max_query_length: Tokens of the question that are read.
    :param max_answer_length: The most tokens of an answer when the model is evaluated.
    """

    max_seq_length: int = _value(384, least=1)
    stride: int = _value(128, least=0)
    max_query_length: int = _value(64, least=1)
    max_answer_length: int = _value(30, least=1)


@dataclass(frozen=True)
class Training:
    """How the weights are moved: AdamW.

    :param epochs: Passes over the data, unless `steps` is given.
    :param steps: Optimizer steps; None for what `epochs` takes.
    :param shared_normalization: What the loss over all windows of a question counts, beside 1 for the loss of each
        window; above 0 a question stays together with its negatives, and batch sizes count questions.
    :param batch_size: Windows of an optimizer step, over all devices.
    :param device_batch_size: The most windows in a forward pass; what is left to `batch_size` is accumulated. None
        for no limit.
    :param learning_rate: The highest rate.
    :param schedule: What it does after the warm-up: fall to 0 "linear" or as a "cosine", or stay "constant".
    :param warmup: Steps in which it rises from 0; below 1 a share of all.
    :param weight_decay: Of weights, not of biases and norms.
    :param max_grad_norm: Gradients longer than this are shortened to it.
    :param dropout: Of every dropout layer; None for the base model's own.
    :param freeze_embeddings: Whether the vectors of the vocabulary stay as they are; on a CPU that saves a tenth.
    :param precision: What is computed in (autocast; the weights stay float32): "float32", "bfloat16", "float16" (GPU),
        or "auto" for bfloat16 where the machine has instructions for it.
    :param seed: Of the order of the data, of dropout, and of new weights.
    """

    epochs: float = _value(2.0, above=0)
    steps: int | None = _value(None, least=1)
    shared_normalization: float = _value(0.0, least=0)
    batch_size: int = _value(32, least=1)
    device_batch_size: int | None = _value(None, least=1)
    learning_rate: float = _value(3e-5, above=0)
    schedule: str = _value("linear", choices=SCHEDULES)
    warmup: float = _value(0.0, least=0)
    weight_decay: float = _value(0.0, least=0)
    max_grad_norm: float = _value(1.0, above=0)
    dropout: float | None = _value(None, least=0, below=1)
    freeze_embeddings: bool = False
    precision: str = _value("float32", choices=PRECISIONS)
    seed: int = _value(0, least=0, most=2**32 - 1)


@dataclass(frozen=True)
class Averaging:
    """The result is the mean of the weights that the run passes through (Izmailov et al. 2018), not the last ones.

    :param since: The share of the steps behind which it begins; 0 takes the base model in, too.
    :param every: Steps between the weights that are taken; those of the last step are always.
    """

    since: float = _value(0.5, least=0, below=1)
    every: int = _value(100, least=1)


@dataclass(frozen=True)
class Evaluation:
    """Exact match and F1 while it trains.

    :param file: Questions in SQuAD's format that are not trained on.
    :param every: After so many steps, and at the end; None for at the end only.
    :param sample: At most so many questions, always the same ones; None for all.
    :param batch_size: The most windows in a forward pass; None leaves it to the token budget.
    :param metric: What is best: "f1" or "exact" where "no answer" is told by the model's own vote, "best_f1" or
        "best_exact" at the best threshold.
    :param keep_best: Whether the best checkpoint is the result, not the last one.
    :param patience: Stop after so many evaluations without a better one; None never.
    """

    file: str
    every: int | None = _value(None, least=1)
    sample: int | None = _value(None, least=1)
    batch_size: int | None = _value(None, least=1)
    metric: str = _value("best_f1", choices=METRICS)
    keep_best: bool = False
    patience: int | None = _value(None, least=1)


@dataclass(frozen=True)
class Checkpoints:
    """What a killed run goes on from.

    :param every: Steps between two.
    :param keep: How many are kept, beside the best where it is kept: at least 2, for one may be half-written.
    """

    every: int = _value(500, least=1)
    keep: int = _value(2, least=2)


@dataclass(frozen=True)
class Distillation:
    """Learning from another reader's logits (Hinton et al. 2015) or from another model's layers (Jiao et al. 2020).

    :param teacher: The teacher: a folder, a bundled model or a hub name, with the same vocabulary. Of "prediction" also
        several, of whose probabilities the mean is learned.
    :param kind: "prediction" for its start and end logits, "intermediate" for its hidden states and attention scores.
    :param weight: What the teacher's loss counts; the labels' loss counts 1 less this. Of "prediction" only.
    :param temperature: What both models' logits are divided by. Of "prediction" only.
    :param layers: For each layer of the student the teacher's layer that it learns from, from 1; None spreads them
        evenly. Of "intermediate" only, like what follows.
    :param hidden_weight: What the hidden states count.
    :param attention_weight: What the attention scores count; 0 where the models have unlike numbers of heads.
    """

    teacher: tuple[str, ...]
    kind: str = _value("prediction", choices=("prediction", "intermediate"))
    weight: float = _value(0.75, least=0, most=1)
    temperature: float = _value(1.5, above=0)
    layers: tuple[int, ...] | None = _value(None, least=1)
    hidden_weight: float = _value(1.0, least=0)
    attention_weight: float = _value(1.0, least=0)


@dataclass(frozen=True)
class CalibrationData:
    """What the reader's probabilities are fitted to at the end, over passages that BM25 finds.

    :param file: Questions in SQuAD's format that are not trained on.
    :param sample: At most so many questions.
    """

    file: str
    sample: int = _value(2000, least=50)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    :param model: The base model: a folder, a bundled model or a hub name.
    :param data: What is trained on.
    :param name: What the result is called on its card.
    :param tokenizer: Where the tokenizer is not the model's own: a folder or a hub name.
    :param lower_case: Whether the tokenizer is made to lower-case.
    :param layers: Layers of the base model to keep, from 1; None for all.
    :param negatives: Retrieved negatives.
    :param windows: How questions and passages are cut.
    :param training: How the weights are moved.
    :param averaging: What weights the result is the mean of; None for the last ones.
    :param evaluation: What is measured meanwhile; None for nothing.
    :param checkpoints: What a killed run goes on from.
    :param distillation: What is learned from a teacher; None for nothing.
    :param calibration: What probabilities are fitted to; None leaves the reader uncalibrated.
    :param weights: The type of the weights that are written: "float32" or "float16".
    :param published: Figures of a published model that was made by this recipe and where they are from: free entries.
    """

    model: str
    data: Data
    name: str | None = None
    tokenizer: str | None = None
    lower_case: bool = False
    layers: tuple[int, ...] | None = _value(None, least=1)
    negatives: Negatives = field(default_factory=Negatives)
    windows: Windows = field(default_factory=Windows)
    training: Training = field(default_factory=Training)
    averaging: Averaging | None = None
    evaluation: Evaluation | None = None
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    distillation: Distillation | None = None
    calibration: CalibrationData | None = None
    weights: str = _value("float32", choices=("float32", "float16"))
    published: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, its defaults filled in, as YAML and JSON have them."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
