"""Drawing a pipeline as SVG: layers from top to bottom, by a layout of our own."""

from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

from lodestone.pipelines.flow import Drawable, Flow, flow_of, shorten

# All lengths are in pixels.
_NAME_SIZE, _SMALL_SIZE = 14, 11
_NAME_WIDTH, _SMALL_WIDTH = 8.4, 6.6  # of one character, for fonts of that size; a little more than the usual
_BOX_HEIGHT, _PILL_HEIGHT = 48, 26
_GAP, _MARGIN, _LINE = 28, 24, 15
_MINIMUM_LAYER_GAP = 52

_STYLE = (
    "text{font-family:system-ui,'DejaVu Sans',sans-serif;text-anchor:middle}"
    ".name{font-size:14px;font-weight:600;fill:#14213d}.class{font-size:11px;fill:#4a5a78}"
    ".label{font-size:11px;fill:#33415c;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
    ".box{fill:#eef4ff;stroke:#3d6fb4;stroke-width:1.4}.pill{fill:#fff7e6;stroke:#c98a1b;stroke-width:1.2}"
    ".edge{fill:none;stroke:#5b6b88;stroke-width:1.5}.tip{fill:#5b6b88}"
)


@dataclass
class _Node:
    """A box, a pill for what comes from or goes to the caller, or a bend of an edge that passes a layer."""

    layer: int
    kind: str
    title: str = ""
    subtitle: str = ""
    width: float = 0.0
    height: float = 0.0
    space: float = 0.0  # the width that the node and the labels at it need
    x: float = 0.0
    y: float = 0.0


@dataclass
class _Line:
    """One arrow through nodes in adjacent layers, with what it carries."""

    nodes: list[_Node]
    labels: list[str] = field(default_factory=list)
    reversed: bool = False


def draw_svg(source: Drawable) -> str:
    """
    Draw a pipeline as an SVG picture.

    :param source: A pipeline, or a definition (whose components are not built, so that the caller's inputs and the
        results are not shown).
    :returns: A complete SVG document, which needs nothing from outside.
    """
    flow = flow_of(source)
    nodes = _make_nodes(flow)
    lines = _make_lines(flow, nodes)
    _make_room_for_labels(lines)
    layers = _make_layers(nodes, lines)
    _order(layers, lines)
    _place(layers, lines)
    return _render(layers, lines)


def _make_nodes(flow: Flow) -> dict[tuple[str, str], _Node]:
    senders = {edge.sender for edge in flow.edges}
    first = 1 if any(flow.inputs.values()) else 0
    nodes = {}
    for name, class_name in flow.classes.items():
        width = max(len(name) * _NAME_WIDTH, len(class_name) * _SMALL_WIDTH) + 28
        layer = flow.layers[name] + first
        nodes["box", name] = _Node(layer, "box", name, class_name, max(width, 110), _BOX_HEIGHT)
        for kind, sockets, step in (("input", flow.inputs.get(name), -1), ("result", flow.results.get(name), 1)):
            if sockets and (kind == "input" or name not in senders):
                text = ", ".join(sockets)
                text = text if len(text) <= 40 else f"{text[:39]}…"
                nodes[kind, name] = _Node(layer + step, "pill", text, "", len(text) * _SMALL_WIDTH + 26, _PILL_HEIGHT)
    return nodes


def _make_lines(flow: Flow, nodes: dict[tuple[str, str], _Node]) -> list[_Line]:
    carried: dict[tuple[str, str], list[str]] = {}
    for edge in flow.edges:
        both = edge.output != edge.input and edge.output and edge.input
        label = f"{edge.output} → {edge.input}" if both else edge.output or edge.input
        carried.setdefault((edge.sender, edge.receiver), []).append(label)
    lines = []
    for (sender, receiver), labels in carried.items():
        top, bottom = nodes["box", sender], nodes["box", receiver]
        back = bottom.layer <= top.layer
        lines.append(_Line([bottom, top] if back else [top, bottom], list(filter(None, labels)), back))
    for (kind, name), node in nodes.items():
        if kind == "input":
            lines.append(_Line([node, nodes["box", name]]))
        elif kind == "result":
            lines.append(_Line([nodes["box", name], node]))
    return lines


def _make_room_for_labels(lines: list[_Line]) -> None:
    for line in lines:
        node = _label_end(line, lines)
        node.space = max([node.space, *(len(_short(label)) * _SMALL_WIDTH for label in line.labels)])


def _label_end(line: _Line, lines: list[_Line]) -> _Node:
    """The emptier end of an arrow is where its labels stand, so that those of a fan are apart."""
    top, bottom = line.nodes[0], line.nodes[-1]
    leaving = sum(other.nodes[0] is top for other in lines)
    entering = sum(other.nodes[-1] is bottom for other in lines)
    return bottom if entering <= leaving else top


def _make_layers(nodes: dict[tuple[str, str], _Node], lines: list[_Line]) -> list[list[_Node]]:
    layers: list[list[_Node]] = [[] for _ in range(max((node.layer for node in nodes.values()), default=0) + 1)]
    for node in nodes.values():
        layers[node.layer].append(node)
    for line in lines:
        top, bottom = line.nodes
        bends = [_Node(layer, "bend", width=8) for layer in range(top.layer + 1, bottom.layer)]
        for bend in bends:
            layers[bend.layer].append(bend)
        line.nodes = [top, *bends, bottom]
    return [layer for layer in layers if layer]


def _neighbours(lines: list[_Line]) -> tuple[dict[int, list[_Node]], dict[int, list[_Node]]]:
    above: dict[int, list[_Node]] = {}
    below: dict[int, list[_Node]] = {}
    for line in lines:
        for upper, lower in pairwise(line.nodes):
            above.setdefault(id(lower), []).append(upper)
            below.setdefault(id(upper), []).append(lower)
    return above, below


def _order(layers: list[list[_Node]], lines: list[_Line]) -> None:
    """Sort each layer by the mean position of its neighbours, down and up a few times (Sugiyama's barycentres)."""
    above, below = _neighbours(lines)
    for sweep in range(8):
        near = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            place = {id(node): i / len(other) for other in layers for i, node in enumerate(other)}
            wish = {
                id(node): _mean([place[id(other)] for other in near.get(id(node), [])], place[id(node)])
                for node in layer
            }
            layer.sort(key=lambda node: wish[id(node)])


def _place(layers: list[list[_Node]], lines: list[_Line]) -> None:
    above, below = _neighbours(lines)
    for layer in layers:
        x = 0.0
        for node in layer:
            node.space = max(node.space, node.width)
            node.x = x + node.space / 2
            x += node.space + _GAP
    for sweep in range(12):
        near = below if sweep % 2 == 0 else above
        for layer in layers[::-1] if sweep % 2 == 0 else layers:
            wishes = [_mean([other.x for other in near.get(id(node), [])], node.x) for node in layer]
            _spread(layer, wishes)
    everything = [node for layer in layers for node in layer]
    left = min((node.x - node.space / 2 for node in everything), default=0.0)
    for node in everything:
        node.x += _MARGIN - left
    y = float(_MARGIN)
    for layer in layers:
        height = max(node.height for node in layer)
        for node in layer:
            node.y = y + height / 2
        y += height + _gap_below(layer, lines)


def _gap_below(layer: list[_Node], lines: list[_Line]) -> float:
    """Room for the labels, and more where arrows go far to the side, so that they do not run flat."""
    leaving = [
        (line, pair) for line in lines for pair in pairwise(line.nodes) if any(pair[0] is node for node in layer)
    ]
    labels = max((len(line.labels) for line, _ in leaving), default=0)
    sideways = max((abs(upper.x - lower.x) for _, (upper, lower) in leaving), default=0.0)
    return _MINIMUM_LAYER_GAP + _LINE * labels + min(sideways / 12, 80)


def _spread(layer: list[_Node], wishes: list[float]) -> None:
    """Move nodes as near to their wishes as they can be without touching: neighbours that collide share a block."""
    blocks: list[tuple[float, list[float], int]] = []  # sum of the wishes' left edges, widths, count
    for node, wish in zip(layer, wishes, strict=True):
        total, widths, count = wish - node.space / 2, [node.space], 1
        while blocks and _start(blocks[-1]) + sum(w + _GAP for w in blocks[-1][1]) > total / count:
            other_total, other_widths, other_count = blocks.pop()
            shift = sum(w + _GAP for w in other_widths)
            total, widths, count = other_total + total - shift * count, other_widths + widths, other_count + count
        blocks.append((total, widths, count))
    position = 0
    for block in blocks:
        x = _start(block)
        for width in block[1]:
            layer[position].x = x + width / 2
            x += width + _GAP
            position += 1


def _start(block: tuple[float, list[float], int]) -> float:
    return block[0] / block[2]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _render(layers: list[list[_Node]], lines: list[_Line]) -> str:
    everything = [node for layer in layers for node in layer]
    width = max((node.x + node.space / 2 for node in everything), default=0.0) + _MARGIN
    height = max((node.y + node.height / 2 for node in everything), default=0.0) + _MARGIN
    arrows = [_arrow(line) for line in lines]
    labels = [_labels(line, lines) for line in lines]
    boxes = [_shape(node) for node in everything if node.kind != "bend"]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="tip" d="M0 0L8 4L0 8z"/>'
            "</marker></defs>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
            *arrows,
            *boxes,
            *filter(None, labels),
            "</svg>",
        ]
    )


def _arrow(line: _Line) -> str:
    top, bottom = line.nodes[0], line.nodes[-1]
    if top is bottom or top.layer == bottom.layer:
        points = [(top.x, top.y + top.height / 2), (bottom.x, bottom.y + bottom.height / 2)]
    else:
        bends = [(node.x, node.y) for node in line.nodes[1:-1]]
        points = [(top.x, top.y + top.height / 2), *bends, (bottom.x, bottom.y - bottom.height / 2)]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (next_x, next_y) in pairwise(points):
        middle = (y + next_y) / 2 if y != next_y else y + _MINIMUM_LAYER_GAP / 2
        path += f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
    end = "start" if line.reversed else "end"
    return f'<path class="edge" d="{path}" marker-{end}="url(#tip)"/>'


def _labels(line: _Line, lines: list[_Line]) -> str:
    if not line.labels:
        return ""
    node = _label_end(line, lines)
    below = node is line.nodes[0]
    y = node.y + node.height / 2 + 22 if below else node.y - node.height / 2 - 16 - _LINE * (len(line.labels) - 1)
    return "".join(
        f'<text class="label" x="{node.x:.1f}" y="{y + _LINE * index:.1f}">{_label(label)}</text>'
        for index, label in enumerate(line.labels)
    )


def _shape(node: _Node) -> str:
    x, y = node.x - node.width / 2, node.y - node.height / 2
    radius = 8 if node.kind == "box" else node.height / 2
    shape = (
        f'<rect class="{node.kind}" x="{x:.1f}" y="{y:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" '
        f'rx="{radius:.1f}"/>'
    )
    if node.kind == "pill":
        return f'{shape}<text class="class" x="{node.x:.1f}" y="{node.y + 4:.1f}">{_text(node.title)}</text>'
    return (
        f'{shape}<text class="name" x="{node.x:.1f}" y="{node.y - 3:.1f}">{_text(node.title)}</text>'
        f'<text class="class" x="{node.x:.1f}" y="{node.y + 14:.1f}">{_text(node.subtitle)}</text>'
    )


def _short(label: str) -> str:
    output, arrow, input_ = label.partition(" → ")
    return f"{shorten(output, 26)}{arrow}{shorten(input_, 26)}"


def _label(label: str) -> str:
    """Show a label at most so wide that a fan fits a page; the whole one appears under the mouse."""
    short = _short(label)
    title = f"<title>{_text(label)}</title>" if short != label else ""
    return title + _text(short)


def _text(text: str) -> str:
    return escape("".join(character if character.isprintable() else "�" for character in text))
