"""Drawings show every component and connection, are well formed, and leave the machine alone."""

import socket
from typing import Any
from xml.etree import ElementTree

import pytest
from haystack import Pipeline, component
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.pipelines import draw_mermaid, draw_svg, draw_text, parse_definition

DRAWINGS = [draw_text, draw_mermaid, draw_svg]
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a drawing opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@component
class Looper:
    """A component that can be part of a cycle."""

    @component.output_types(again=str, done=str)
    def run(self, text: str, again: str = "") -> dict[str, str]:
        """Give the text back."""
        return {"done": text + again}


def svg_texts(svg: str) -> list[str]:
    return [
        "".join([element.text or "", *(child.tail or "" for child in element)])
        for element in ElementTree.fromstring(svg).iter(f"{_SVG}text")
    ]


def test_the_text_shows_components_in_order_and_fits_the_terminal(indexing_text: str) -> None:
    text = draw_text(Pipeline.loads(indexing_text))
    assert all(len(line) <= 80 for line in text.splitlines())
    order = [text.index(f"─ {name} ·") for name in ("router", "text", "html", "joiner", "cleaner", "writer")]
    assert order == sorted(order)
    assert "│ in  sources    ← given to run" in text
    assert "│ out text/plain → text.sources" in text
    assert "│ out documents_written → result" in text


@pytest.mark.parametrize("width", [1, 40, 60, 200])
def test_the_text_fits_any_width(indexing_text: str, width: int) -> None:
    lines = draw_text(Pipeline.loads(indexing_text), width=width).splitlines()
    assert max(map(len, lines)) == max(width, 40)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_definition_can_be_drawn_without_building_it(draw: Any) -> None:
    text = "components:\n  a: {type: no.such.Thing}\n  b: {type: no.Other}\n  c:\nconnections:\n" + (
        "  - {sender: a.x, receiver: b.y}\n  - {sender: b, receiver: c}\n  - {sender: nobody, receiver: c}\n  - 5\n"
    )
    drawing = draw(parse_definition(text))
    assert all(word in drawing for word in ("Thing", "Other", "x", "y"))


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("text", ["", "components: 5", "a: 1", "components: {}"])
def test_nothing_can_be_drawn(draw: Any, text: str) -> None:
    assert draw(parse_definition(text))
    assert draw(Pipeline())


def test_the_mermaid_text_has_every_connection(indexing_text: str) -> None:
    lines = draw_mermaid(Pipeline.loads(indexing_text)).splitlines()
    assert lines[0] == "graph TD"
    assert '  c0 -- "text/plain → sources" --> c1' in lines
    assert '  c4 -- "documents" --> c5' in lines
    assert '  c5 --> oc5(["documents#95;written"])' in lines or '  c5 --> oc5(["documents_written"])' in lines


def test_the_svg_is_well_formed_and_complete(indexing_text: str) -> None:
    svg = draw_svg(Pipeline.loads(indexing_text))
    texts = svg_texts(svg)
    assert {"router", "FileTypeRouter", "text/plain → sources", "sources", "documents_written"} <= set(texts)
    arrows = [e for e in ElementTree.fromstring(svg).iter(f"{_SVG}path") if e.get("class") == "edge"]
    assert len(arrows) == 6 + 2
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_boxes_do_not_overlap_and_lie_in_the_picture(indexing_text: str) -> None:
    root = ElementTree.fromstring(draw_svg(Pipeline.loads(indexing_text)))
    boxes = [
        tuple(float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{_SVG}rect")
        if rect.get("class")
    ]
    for index, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + w <= float(root.get("width", "0"))
        assert y + h <= float(root.get("height", "0"))
        for other_x, other_y, other_w, other_h in boxes[index + 1 :]:
            assert x + w <= other_x or other_x + other_w <= x or y + h <= other_y or other_y + other_h <= y


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_cycle_can_be_drawn(draw: Any) -> None:
    pipeline = Pipeline()
    pipeline.add_component("first", Looper())
    pipeline.add_component("second", Looper())
    pipeline.connect("first.done", "second.text")
    pipeline.connect("second.again", "first.again")
    drawing = draw(pipeline)
    assert "first" in drawing
    assert "second" in drawing


def test_long_socket_names_keep_the_end_that_tells_them_apart() -> None:
    mime = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    components = "components:\n  a: {type: x.A}\n  b: {type: x.B}\n"
    definition = parse_definition(f"{components}connections:\n  - {{sender: a.{mime}, receiver: b.sources}}\n")
    assert "l.presentation → b.sources" in draw_text(definition)
    assert any(text.endswith("presentation → sources") and len(text) < 45 for text in svg_texts(draw_svg(definition)))
    assert f"<title>{mime} → sources</title>" in draw_svg(definition)


def test_names_are_escaped() -> None:
    text = "components:\n  '<b>&\"end]\\x1b': {type: 'a.<i>'}\n"
    definition = parse_definition(text)
    assert '<b>&"end]\\x1b' in svg_texts(draw_svg(definition))
    assert "&<" not in draw_mermaid(definition)
    assert '"end' not in draw_mermaid(definition)


def test_control_characters_do_not_reach_the_terminal() -> None:
    drawing = draw_text(parse_definition('components:\n  "a\\e[31m": {type: x.Y}\n'))
    assert "\x1b" not in drawing


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_any_graph_can_be_drawn(graph: tuple[int, list[tuple[int, int]]]) -> None:
    size, edges = graph
    lines = ["components:", *(f"  n{i}: {{type: a.Node{i}}}" for i in range(size))]
    lines += ["connections:", *(f"  - {{sender: n{a}.out, receiver: n{b}.in{a}}}" for a, b in edges)]
    definition = parse_definition("\n".join(lines))
    text = draw_text(definition)
    assert all(f" n{i} · Node{i} " in text for i in range(size))
    assert {f"n{i}" for i in range(size)} <= set(svg_texts(draw_svg(definition)))
    assert "nan" not in draw_svg(definition)
    assert draw_mermaid(definition).count("-->") == len(edges)
