"""Pipeline definitions, and the code that reads, checks, loads and draws them."""

from lodestone.pipelines.definition import (
    Definition,
    find_definition,
    parse_definition,
    read_definition,
    shipped_definitions,
)
from lodestone.pipelines.draw import draw_mermaid, draw_svg, draw_text
from lodestone.pipelines.loader import load_pipeline
from lodestone.pipelines.problem import Problem
from lodestone.pipelines.validation import check

__all__ = [
    "Definition",
    "Problem",
    "check",
    "draw_mermaid",
    "draw_svg",
    "draw_text",
    "find_definition",
    "load_pipeline",
    "parse_definition",
    "read_definition",
    "shipped_definitions",
]
