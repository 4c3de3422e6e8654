"""Learning from another model's layers: TinyBERT's transformer distillation (Jiao et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lodestone.components.engines.loading import max_length, takes_segments
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer, resolve_model
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training.recipe import Distillation
from lodestone.training.teacher_windows import check_length

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SCORES = "lodestone_scores"
_PROJECTIONS = "distillation_projections"


class TeacherLayers:
    """A teacher whose hidden states and attention scores a student is to come close to.

    The student's embeddings learn from the teacher's, each of its layers from one of the teacher's. Where the models'
    sizes differ, linear maps between them are learned as well; they are the student's submodules until `detach`, so
    that they are optimized, checkpointed and shared among processes like its other weights. Attention scores are those
    before the softmax, which the paper found to learn faster than those behind it.

    :param student: The model that is trained; it is changed.
    :param settings: The teacher, its layers, and what they count.
    :param device: Where both are.
    :param autocast: The type that is computed in where that is not float32, else None.
    :raises ConfigurationError: If there is no such teacher, or it does not fit the student.
    """

    def __init__(self, student: Any, settings: Distillation, device: str, autocast: str | None = None) -> None:
        import torch
        import transformers
        from torch import nn

        folder = resolve_model(settings.teacher[0])
        try:
            with quiet_transformers():
                teacher = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, dtype="float32")
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            raise ConfigurationError(f"{settings.teacher[0]} is no teacher: {str(error).splitlines()[0]}") from error
        self._teacher = teacher.to(device).eval()
        self._segments = takes_segments(teacher)
        kind = torch.float32 if autocast is None else getattr(torch, autocast)
        self._autocast = partial(torch.autocast, torch.device(device).type, dtype=kind, enabled=autocast is not None)
        self._hidden, self._attention = settings.hidden_weight, settings.attention_weight
        count, theirs = int(student.config.num_hidden_layers), int(teacher.config.num_hidden_layers)
        self._layers = checked_layers(settings.layers, count, theirs)
        if self._attention:
            _check_heads(student, teacher)
            for model in (student, teacher):
                _give_scores(model)
        ours, their_size = int(student.config.hidden_size), int(teacher.config.hidden_size)
        if ours != their_size:
            maps = nn.ModuleList([nn.Linear(ours, their_size, bias=False) for _ in range(count + 1)])
            setattr(student, _PROJECTIONS, maps.to(device))

    def loss(self, student: Any, outputs: Any, inputs: Mapping[str, Any], weights: Any) -> Any:
        """How far the student is from the teacher, squared, averaged over its tokens.

        :param student: The student, out of any wrapper.
        :param outputs: What it gave, with `hidden_states` and `attentions`.
        :param inputs: What it was given.
        :param weights: What each window counts, shape (windows,).
        :returns: A scalar.
        """
        import torch

        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self._segments:
            given["token_type_ids"] = inputs["token_type_ids"]
        with torch.no_grad(), self._autocast():
            taught = self._teacher(**given, output_hidden_states=True, output_attentions=bool(self._attention))
        there = given["attention_mask"].float()
        share = (there * weights[:, None]) / there.sum()
        maps = getattr(student, _PROJECTIONS, None)
        loss = torch.zeros((), device=there.device)
        for layer, teacher_layer in enumerate((0, *self._layers)):
            ours, theirs = outputs.hidden_states[layer], taught.hidden_states[teacher_layer]
            mapped = ours if maps is None else maps[layer](ours)
            loss = loss + self._hidden * (share * (mapped.float() - theirs.float()).pow(2).mean(-1)).sum()
        for layer, teacher_layer in enumerate(self._layers) if self._attention else ():
            gaps = (outputs.attentions[layer].float() - taught.attentions[teacher_layer - 1].float()).pow(2)
            # From every token that is there to every token that is there.
            gaps = (gaps.mean(1) * there[:, None, :]).sum(-1) / there.sum(-1)[:, None]
            loss = loss + self._attention * (share * gaps).sum()
        return loss

    @staticmethod
    def detach(student: Any) -> None:
        """Take what distillation needed off the student again."""
        if hasattr(student, _PROJECTIONS):
            delattr(student, _PROJECTIONS)
        if student.config._attn_implementation == _SCORES:
            student.set_attn_implementation("eager")


def check_teacher(settings: Distillation, tokenizer: Tokenizer, longest: int) -> None:
    """Refuse a teacher that reads other tokens than its student, or fewer.

    :param settings: The teacher.
    :param tokenizer: The student's tokenizer.
    :param longest: Tokens of the longest window.
    :raises ConfigurationError: If the vocabularies or the special tokens differ, or it takes shorter windows.
    """
    from transformers import AutoConfig

    folder = resolve_model(settings.teacher[0])
    check_length(longest, max_length(AutoConfig.from_pretrained(str(folder), local_files_only=True)))
    theirs = load_tokenizer(settings.teacher[0])
    same = theirs.get_vocab() == tokenizer.get_vocab()
    if not same or PairTokenizer(theirs).template != PairTokenizer(tokenizer).template:
        raise ConfigurationError(
            f"the teacher {settings.teacher[0]!r} has another vocabulary than the student; both must read the same "
            "tokens"
        )


def checked_layers(layers: Sequence[int] | None, count: int, theirs: int) -> tuple[int, ...]:
    """The teacher's layer for each of the student's, from 1.

    :param layers: Those that are asked for; None spreads them evenly, the last learning from the last.
    :param count: Layers of the student.
    :param theirs: Layers of the teacher.
    :raises ConfigurationError: If there are not as many as the student has layers, or the teacher lacks one.
    """
    if layers is None:
        return tuple(max(1, round((number + 1) * theirs / count)) for number in range(count))
    if len(layers) != count or max(layers) > theirs:
        raise ConfigurationError(
            f"distillation.layers must name one of the teacher's {theirs} layers for each of the student's {count}, "
            f"got {list(layers)}"
        )
    return tuple(layers)


def _check_heads(student: Any, teacher: Any) -> None:
    ours, theirs = int(student.config.num_attention_heads), int(teacher.config.num_attention_heads)
    if ours != theirs:
        raise ConfigurationError(
            f"the student has {ours} attention heads, the teacher {theirs}: attention scores can only be learned head "
            "by head; set distillation.attention_weight to 0"
        )


def _give_scores(model: Any) -> None:
    """Make a model give its attention scores before the softmax where it gives attention weights else."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(_SCORES, _attend)
    AttentionMaskInterface.register(_SCORES, eager_mask)
    try:
        model.set_attn_implementation(_SCORES)
        given = model.config._attn_implementation == _SCORES
    except (ValueError, NotImplementedError):
        given = False
    if not given or model.config.model_type in _OWN_ATTENTION:
        raise ConfigurationError(
            f"models of type {model.config.model_type!r} do not show their attention scores; set "
            "distillation.attention_weight to 0"
        )


# They compute attention in their own code, past transformers' interface for it.
_OWN_ATTENTION = frozenset({"deberta", "deberta-v2", "mpnet", "longformer", "big_bird"})


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Any, Any]:
    """Attention as transformers' eager one, beside the scores without the mask."""
    import torch

    scores = torch.matmul(query, key.transpose(2, 3)) * (query.size(-1) ** -0.5 if scaling is None else scaling)
    masked = scores if attention_mask is None else scores + attention_mask
    weights = torch.nn.functional.dropout(torch.softmax(masked, dim=-1), p=dropout, training=module.training)
    attended = torch.matmul(weights, value).transpose(1, 2).contiguous()
    return cast(tuple[Any, Any], (attended, scores))
