"""Drawing a pipeline as text: for a terminal, and as Mermaid. Nothing leaves the machine."""

from lodestone.pipelines.flow import Drawable, Flow, flow_of, shorten
from lodestone.pipelines.svg import draw_svg

__all__ = ["draw_mermaid", "draw_svg", "draw_text"]


def draw_text(source: Drawable, width: int = 80) -> str:
    """
    Draw a pipeline for a terminal: one box a component, in the order in which they can run.

    :param source: A pipeline, or a definition (whose components are not built, so that only its connections and not
        the caller's inputs and the results are known).
    :param width: Columns of the terminal; at least 40 are used.
    :returns: The drawing, without a line break at its end.
    """
    flow = flow_of(source)
    width = max(width, 40)
    boxes = [_box(flow, name, width) for name in flow.classes]
    if not boxes:
        return "(a pipeline without components)"
    arrow = f"{'│':>{width // 2}}\n{'▼':>{width // 2}}"
    parts = []
    for (name, box), previous in zip(zip(flow.classes, boxes, strict=True), [None, *flow.classes], strict=False):
        if previous is not None and flow.layers[previous] != flow.layers[name]:
            parts.append(arrow)
        parts.append(box)
    return "\n".join(parts)


def draw_mermaid(source: Drawable) -> str:
    """
    Draw a pipeline as Mermaid text, which GitHub and many editors show as a picture.

    :param source: A pipeline or a definition.
    :returns: A `graph TD` in Mermaid's language.
    """
    # Haystack's own `_to_mermaid_text` is private, needs a built pipeline, and writes names into the text as they
    # are, so that a component called `end` or a quote in a socket's name breaks the picture.
    flow = flow_of(source)
    ids = {name: f"c{index}" for index, name in enumerate(flow.classes)}
    lines = ["graph TD"]
    for name, class_name in flow.classes.items():
        lines.append(f'  {ids[name]}["<b>{_entities(name)}</b><br/><i>{_entities(class_name)}</i>"]')
    for name, inputs in flow.inputs.items():
        if inputs:
            lines.append(f'  i{ids[name]}(["{_entities(", ".join(inputs))}"]) --> {ids[name]}')
    for edge in flow.edges:
        label = _label(edge.output, edge.input)
        arrow = f'-- "{_entities(label)}" -->' if label else "-->"
        lines.append(f"  {ids[edge.sender]} {arrow} {ids[edge.receiver]}")
    for name in final_components(flow):
        if flow.results.get(name):
            lines.append(f'  {ids[name]} --> o{ids[name]}(["{_entities(", ".join(flow.results[name]))}"])')
    return "\n".join(lines)


def final_components(flow: Flow) -> list[str]:
    """
    List the components whose outputs go to nobody: what they give is what the pipeline gives.

    :param flow: The flow.
    :returns: Their names.
    """
    senders = {edge.sender for edge in flow.edges}
    return [name for name in flow.classes if name not in senders]


def _label(output: str, input_: str) -> str:
    return output if output == input_ or not input_ else f"{output} → {input_}" if output else input_


def _entities(text: str) -> str:
    return "".join(c if c.isalnum() or c in " _-./,→" else f"#{ord(c)};" for c in text)


def _box(flow: Flow, name: str, width: int) -> str:
    class_name = flow.classes[name]
    rows = [("in", socket, "← given to run") for socket in flow.inputs.get(name, [])]
    rows += [
        ("in", edge.input or "?", f"← {edge.sender}{_dot(edge.output)}") for edge in flow.edges if edge.receiver == name
    ]
    rows += [
        ("out", edge.output or "?", f"→ {edge.receiver}{_dot(edge.input)}")
        for edge in flow.edges
        if edge.sender == name
    ]
    if name in final_components(flow):
        rows += [("out", socket, "→ result") for socket in flow.results.get(name, [])]
    inner = width - 4
    column = min(max((len(socket) for _, socket, _ in rows), default=0), inner // 2)
    title = shorten(f" {name} · {class_name} ", width - 4)
    lines = [f"┌─{title}{'─' * (width - 3 - len(title))}┐"]
    lines += [
        f"│ {shorten(f'{way:<3} {shorten(socket, column):<{column}} {end}', inner):<{inner}} │"
        for way, socket, end in rows
    ]
    return "\n".join([*lines, f"└{'─' * (width - 2)}┘"])


def _dot(socket: str) -> str:
    return f".{socket}" if socket else ""
