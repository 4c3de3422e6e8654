"""The parts of the question-answering pipeline: inputs, windows' scores and results, without any library but numpy."""

from lodestone.components.readers.pipeline.context import Context, read_contexts
from lodestone.components.readers.pipeline.example import Example, parse_examples
from lodestone.components.readers.pipeline.options import Options
from lodestone.components.readers.pipeline.results import Result, collect
from lodestone.components.readers.pipeline.scores import ScoredSpan, WindowScores, score_windows

__all__ = [
    "Context",
    "Example",
    "Options",
    "Result",
    "ScoredSpan",
    "WindowScores",
    "collect",
    "parse_examples",
    "read_contexts",
    "score_windows",
]
