"""A question with its context, and every form in which the pipeline takes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any


@dataclass(frozen=True)
class Example:
    """One question and the text to find its answer in, under the names that transformers' `SquadExample` had.

    :param question_text: The question.
    :param context_text: The text.
    """

    question_text: str
    context_text: str


def parse_examples(arguments: Sequence[Any], named: Mapping[str, Any]) -> list[Example] | Iterator[Example]:
    """What a call of the pipeline asks.

    :param arguments: The positional arguments: a question and a context, or one or more dicts or examples, or one
        list, dataset or generator of them.
    :param named: The named arguments, of which `X`, `data`, or `question` and `context` are looked at: two strings,
        a list of questions with one context, or two lists of one length.
    :returns: The examples; of a generator or a dataset an iterator that reads it as far as it is asked.
    :raises KeyError: If a dict lacks the question or the context.
    :raises ValueError: If one of them is empty or None, or the arguments are of no form that is known.
    """
    inputs = _inputs(arguments, named)
    if _is_lazy(inputs):
        return (example for item in _items(inputs) for example in _examples(item))
    if isinstance(inputs, Mapping) or _is_example(inputs):
        return list(_examples(inputs))
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise ValueError(f"{inputs!r} is no question with its context: pass question=..., context=...")
    return [example for item in inputs for example in _examples(item)]


def _inputs(arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    if len(arguments) == 1:
        return arguments[0]
    if len(arguments) == 2 and all(isinstance(argument, str) for argument in arguments):
        return {"question": arguments[0], "context": arguments[1]}
    if arguments:
        return list(arguments)
    for name in ("X", "data"):
        if name in named:
            return named[name]
    if "question" in named and "context" in named:
        return list(_pairs(named["question"], named["context"]))
    raise ValueError(f"a question and a context are needed: pass question=..., context=..., got {sorted(named)}")


def _pairs(question: Any, context: Any) -> Iterator[dict[str, Any]]:
    """A question with its context as it is, and lists of questions spread over their context or contexts."""
    if isinstance(question, list) and isinstance(context, list) and len(question) != len(context):
        raise ValueError(
            f"Questions and contexts don't have the same lengths: {len(question)} questions, {len(context)} contexts"
        )
    one, many = isinstance(question, str), isinstance(question, list)
    if not (one or many) or not (isinstance(context, str) or (many and isinstance(context, list))):
        raise ValueError(
            "question and context must be two strings, a list of strings and one string, or two lists of strings; got "
            f"{type(question).__name__} and {type(context).__name__}"
        )
    questions = [question] if one else question
    contexts = [context] * len(questions) if isinstance(context, str) else context
    for each, its_context in zip(questions, contexts, strict=True):
        yield {"question": each, "context": its_context}


def _examples(item: Any) -> Iterator[Example]:
    """The examples of a dict, which are several where it holds lists, or of an object with the two texts."""
    if _is_example(item):
        yield Example(item.question_text, item.context_text)
        return
    if not isinstance(item, Mapping):
        raise ValueError(f"{item!r} must be a dict with question and context, or an example with question_text")
    for name in ("question", "context"):
        if name not in item:
            raise KeyError(f"a dict needs the keys question and context, got {sorted(item)}")
        if item[name] is None:
            raise ValueError(f"`{name}` cannot be None")
        if isinstance(item[name], str) and not item[name]:
            raise ValueError(f"`{name}` cannot be empty")
    if isinstance(item["question"], str) and isinstance(item["context"], str):
        yield Example(item["question"], item["context"])
        return
    for pair in _pairs(item["question"], item["context"]):
        yield from _examples(pair)


def _is_example(item: Any) -> bool:
    return hasattr(item, "question_text") and hasattr(item, "context_text")


def _is_lazy(inputs: Any) -> bool:
    from torch.utils.data import Dataset

    return isinstance(inputs, GeneratorType | Dataset)


def _items(inputs: Any) -> Iterator[Any]:
    """What a generator gives or a dataset holds, which may have a length and no end of its own."""
    if isinstance(inputs, GeneratorType) or not (hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")):
        yield from inputs
    else:
        for index in range(len(inputs)):
            yield inputs[index]
