"""What a model is run for, and with that its class in transformers and its outputs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A kind of model.

    :param name: What it is called in cache entries.
    :param auto_class: The class of transformers that loads it.
    :param outputs: Its outputs that are used, in the order in which the model gives them.
    :param head: Part of the name of weights without which the folder is no such model; "" for none.
    """

    name: str
    auto_class: str
    outputs: tuple[str, ...]
    head: str


READER = Task("reader", "AutoModelForQuestionAnswering", ("start_logits", "end_logits"), "qa_outputs")
ENCODER = Task("encoder", "AutoModel", ("last_hidden_state",), "")
