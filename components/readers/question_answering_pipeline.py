"""The question-answering pipeline that transformers 5.3 removed.

The one module of this package that imports transformers when it is imported, as its class is one of transformers'
pipelines; it is imported by `lodestone.register()` and by those who name it.
"""

import inspect
import logging
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES
from transformers.pipelines.base import Pipeline

from lodestone.components.engines.engine import FloatArray
from lodestone.components.engines.independent import independent_forward
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_READER, resolve_model, tokenizer_folder
from lodestone.components.readers.pipeline.context import Context, read_contexts
from lodestone.components.readers.pipeline.example import Example, parse_examples
from lodestone.components.readers.pipeline.options import Options, checked_options
from lodestone.components.readers.pipeline.results import Result, collect
from lodestone.components.readers.pipeline.scores import WindowScores, score_windows
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.components.readers.windows import Batch, Window, cut, fill, pack

logger = logging.getLogger(__name__)

_MAX_LENGTH = 384
_MAX_STRIDE = 128
_MAX_QUESTION = 64
_MAX_BATCH_TOKENS = 4096
_EXAMPLES_AT_ONCE = 256
_NOT_OPTIONS = {"question", "context", "data", "X", "topk", "padding"}


class QuestionAnsweringPipeline(Pipeline):
    """Finds the answer to a question in a text, with the calls, results and scores of transformers 4.

    `lodestone.register()` makes `transformers.pipeline("question-answering", ...)` build it. Windows of all questions
    of a call are read in shared batches. For answers with comparable, calibrated scores over many passages use
    `ExtractiveReader`.

    ### Usage example

    ```python
    from lodestone.components.readers.question_answering_pipeline import QuestionAnsweringPipeline

    answer = QuestionAnsweringPipeline()
    print(answer(question="Who built the lighthouse?", context="The lighthouse was built by Ida Holm in 1911."))
    # {'score': 0.98..., 'start': 28, 'end': 36, 'answer': 'Ida Holm'}
    ```
    """

    _load_tokenizer: Any = True
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    _load_feature_extractor: Any = False
    default_input_names: Any = "question,context"
    tokenizer: Any

    def __init__(
        self,
        model: str | PreTrainedModel = DEFAULT_READER,
        tokenizer: Any = None,
        modelcard: Any = None,
        framework: str | None = None,
        task: str = "question-answering",
        **kwargs: Any,
    ) -> None:
        """Set the pipeline up.

        :param model: A model that answers by spans, or the name of one as for `resolve_model`, which is then loaded in
            `dtype`, by default float32.
        :param tokenizer: Its tokenizer, a fast one, or the name of one; None for that of the model's folder.
        :param modelcard: Not used; transformers 4 took it.
        :param framework: "pt" or None.
        :param task: Name of the task.
        :param kwargs: `device`, `batch_size` and `num_workers` as for every pipeline, and settings of `__call__` that
            are to hold for every call.
        :raises ConfigurationError: If the tokenizer or a setting cannot be used.
        """
        if framework not in (None, "pt"):
            raise ConfigurationError(f"framework must be 'pt' or None, got {framework!r}: transformers 5 runs on torch")
        loaded: Any = model
        if isinstance(model, str):
            folder = resolve_model(model)
            loaded = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=kwargs.get("dtype", torch.float32))
            tokenizer = folder if tokenizer is None else tokenizer
        if isinstance(tokenizer, str) or hasattr(tokenizer, "__fspath__"):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(str(tokenizer)))
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigurationError(f"a fast tokenizer is needed, got {type(tokenizer).__name__}")
        super().__init__(model=loaded, tokenizer=tokenizer, task=task, **kwargs)
        self.check_model_type({**MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES, "peft": "PeftModelForQuestionAnswering"})
        self._lock = threading.Lock()
        self._pair: tuple[Tokenizer, PairTokenizer] | None = None
        parameters = set(inspect.signature(self.model.forward).parameters)
        # Asked of the model, as some tokenizers of transformers 5 forget the segment ids that those of 4 gave (ALBERT).
        segments = int(getattr(self.model.config, "type_vocab_size", 0) or 0)
        self._takes_segments = "token_type_ids" in parameters and segments > 1
        self._run = independent_forward(self.model)
        self._forward_arguments = {"use_cache": False} if "use_cache" in parameters else {}

    @staticmethod
    def create_sample(question: str | list[str], context: str | list[str]) -> Example | list[Example]:
        """A question with its context as an example, or a list of them."""
        examples = list(parse_examples([{"question": question, "context": context}], {}))
        return examples if isinstance(question, list) else examples[0]

    def __call__(
        self, *args: Any, num_workers: int | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Result | list[Result] | list[Result | list[Result]] | Iterator[Result | list[Result]]:
        """Answer questions.

        :param args: See `parse_examples`; usually `question` and `context` are given by name.
        :param num_workers: Not used; transformers 4 took it.
        :param batch_size: The most windows in a forward pass; None leaves it to a token budget. Of a generator as
            many examples are read ahead.
        :param kwargs: `question` and `context`, each a string or a list (or `data` or `X`), and the settings:
            `top_k` (1), `doc_stride` (128 or half a window), `max_answer_len` (15), `max_seq_len` (384 or what the
            tokenizer allows), `max_question_len`, `handle_impossible_answer` (False), `align_to_words` (True),
            `padding`; see `Options`.
        :returns: For one question `{"score", "start", "end", "answer"}`, or a list of them where `top_k` finds
            several; for several questions a list of that; for a generator or a dataset an iterator.
        :raises KeyError: If a dict lacks the question or the context.
        :raises ValueError: If a question, a context or a setting cannot be used.
        """
        unknown = sorted(set(kwargs) - _NOT_OPTIONS - set(Options.__dataclass_fields__))
        if unknown:
            logger.warning("The question-answering pipeline knows no %s and leaves it aside", ", ".join(unknown))
        _, _, named = self._sanitize_parameters(**kwargs)
        options = Options(**{**self._postprocess_params, **named})
        batch_size = self._batch_size if batch_size is None else batch_size
        if batch_size is not None and batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {batch_size}")
        examples = parse_examples(args, kwargs)
        if not isinstance(examples, list):
            return self._stream(examples, options, batch_size, ahead=1 if batch_size is None else batch_size)
        answers = list(self._stream(iter(examples), options, batch_size, ahead=_EXAMPLES_AT_ONCE))
        return answers[0] if len(answers) == 1 else answers

    def _stream(
        self, examples: Iterator[Example], options: Options, batch_size: int | None, *, ahead: int
    ) -> Iterator[Result | list[Result]]:
        while group := list(islice(examples, ahead)):
            yield from self._answer(group, options, batch_size)

    def _answer(
        self, examples: Sequence[Example], options: Options, batch_size: int | None
    ) -> list[Result | list[Result]]:
        tokenizer, pair = self._tokenizers()
        options, length = self._fitted(options)
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(example.context_text, len(numbers)) for example in examples]
        contexts = read_contexts(tokenizer, list(numbers))
        questions = self._questions(pair, examples, options, length)
        windows = [
            window
            for query, passage in enumerate(places)
            for window in self._windows(pair, query, passage, contexts[passage], questions[query], options, length)
        ]
        found: list[list[WindowScores]] = [[] for _ in examples]
        tokens = [context.tokens for context in contexts]
        for group in pack(windows, max_tokens=_MAX_BATCH_TOKENS, max_windows=batch_size):
            batch = fill(group, questions, tokens, pair.template)
            for scores in self._score(batch, options, length):
                found[scores.window.query].append(scores)
        return [
            self.postprocess(
                sorted(scores, key=lambda each: each.window.first), context=contexts[place], options=options
            )
            for scores, place in zip(found, places, strict=True)
        ]

    def _fitted(self, options: Options) -> tuple[Options, int]:
        """The settings with the stride settled, and the tokens of a window."""
        length = options.max_seq_len
        if length is None:
            length = min(int(self.tokenizer.model_max_length), _MAX_LENGTH)
        if options.doc_stride is not None and options.doc_stride > length:
            raise ConfigurationError(f"`doc_stride` ({options.doc_stride}) is larger than `max_seq_len` ({length})")
        return options, length

    def _questions(
        self, pair: PairTokenizer, examples: Sequence[Example], options: Options, length: int
    ) -> list[list[int]]:
        questions = pair.questions([example.question_text for example in examples])
        if options.max_question_len is not None:
            return [question[: options.max_question_len] for question in questions]
        room = length - pair.template.special_tokens
        return [question if len(question) < room else question[:_MAX_QUESTION] for question in questions]

    def _windows(
        self,
        pair: PairTokenizer,
        query: int,
        passage: int,
        context: Context,
        question: Sequence[int],
        options: Options,
        length: int,
    ) -> list[Window]:
        stride = options.doc_stride
        if stride is None:
            room = length - pair.template.special_tokens - len(question)
            stride = min(length // 2, _MAX_STRIDE)
            stride = stride if stride < room else max(room // 2, 0)
        return cut(
            query,
            passage,
            len(context.tokens),
            question_tokens=len(question),
            template=pair.template,
            length=length,
            stride=stride,
        )

    def _score(self, batch: Batch, options: Options, length: int) -> list[WindowScores]:
        inputs = self.preprocess(batch, pad_to=length if options.pad_to_max_length else 0)
        outputs = self.forward(inputs)  # type: ignore[no-untyped-call]
        start, end = _as_floats(outputs["start"]), _as_floats(outputs["end"])
        ids = inputs["input_ids"].numpy()
        null_tokens = (ids == self.tokenizer.cls_token_id) & inputs["attention_mask"].numpy().astype(bool)
        return score_windows(
            start,
            end,
            batch.windows,
            null_tokens,
            max_answer_length=options.max_answer_len,
            count=options.spans_per_window,
        )

    def preprocess(self, input_: Any, *, pad_to: Any = 0, **_: Any) -> Any:
        """The model's inputs.

        :param input_: A `Batch` of windows.
        :param pad_to: Tokens to pad it to.
        :returns: int64 tensors of shape (windows, tokens), by name.
        """
        arrays = {"input_ids": input_.input_ids, "attention_mask": input_.attention_mask}
        if self._takes_segments:
            arrays["token_type_ids"] = input_.token_type_ids
        padded = max(0, pad_to - input_.input_ids.shape[1])
        pad_id = int(self.tokenizer.pad_token_id) if self.tokenizer.pad_token_id is not None else 0
        filler = {"input_ids": pad_id}
        return {
            name: torch.from_numpy(np.pad(array, ((0, 0), (0, padded)), constant_values=filler.get(name, 0)))
            for name, array in arrays.items()
        }

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> Any:
        output = self._run(**input_tensors, **self._forward_arguments)
        return {"start": output["start_logits"], "end": output["end_logits"]}

    def postprocess(self, model_outputs: Any, *, context: Any = None, options: Any = None, **_: Any) -> Any:
        """The answers of one question.

        :param model_outputs: The `WindowScores` of its context's windows, in order.
        :param context: The context.
        :param options: The settings.
        :returns: See `__call__`.
        """
        return collect(
            context,
            model_outputs,
            top_k=options.top_k,
            no_answer=options.handle_impossible_answer,
            whole_words=options.align_to_words,
        )

    def _sanitize_parameters(self, **parameters: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, checked_options(parameters)

    def _tokenizers(self) -> tuple[Tokenizer, PairTokenizer]:
        """The tokenizer without truncation and padding, copied so that the caller's own may be set as he likes."""
        with self._lock:
            if self._pair is None:
                tokenizer = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
                tokenizer.no_truncation()
                tokenizer.no_padding()
                self._pair = tokenizer, PairTokenizer(tokenizer)
            return self._pair


def _as_floats(logits: torch.Tensor) -> FloatArray:
    return logits.float().numpy()
