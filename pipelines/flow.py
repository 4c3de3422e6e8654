"""What a drawing of a pipeline shows: its components in order, and what flows between them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from lodestone.pipelines.definition import Definition

if TYPE_CHECKING:
    from haystack import Pipeline

Drawable = Union["Pipeline", Definition]


@dataclass(frozen=True)
class Edge:
    """
    One connection; a socket that a definition leaves to Haystack to find is an empty string.

    :param sender: Name of the component that gives.
    :param output: Its socket.
    :param receiver: Name of the component that takes.
    :param input: Its socket.
    """

    sender: str
    output: str
    receiver: str
    input: str


@dataclass
class Flow:
    """
    A pipeline, reduced to what can be drawn.

    :param classes: Class names by component name, in topological order; cycles are cut at their last edge.
    :param edges: The connections, in the order of `classes`.
    :param inputs: Sockets that a caller must fill, by component name; empty for a definition, which does not know.
    :param results: Outputs that nothing takes, by component name; empty for a definition.
    :param layers: For every component the length of the longest way to it, from 0.
    """

    classes: dict[str, str]
    edges: list[Edge]
    inputs: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, list[str]] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)


def flow_of(source: Drawable) -> Flow:
    """
    Reduce a pipeline or a definition to its flow; a definition's components are neither imported nor built.

    :param source: A pipeline or a definition; of a wrong definition whatever can be made out is taken.
    :returns: The flow.
    """
    flow = _of_definition(source) if isinstance(source, Definition) else _of_pipeline(source)
    flow.layers = _layers(list(flow.classes), flow.edges)
    order = {name: position for position, name in enumerate(sorted(flow.classes, key=flow.layers.__getitem__))}
    flow.classes = {name: flow.classes[name] for name in order}
    flow.edges.sort(key=lambda edge: (order[edge.sender], order[edge.receiver]))
    return flow


def shorten(text: str, width: int) -> str:
    """
    Cut a name in its middle: names of one kind, such as MIME types, differ at their ends.

    :param text: The name.
    :param width: The most characters of the result, at least 3.
    :returns: The name on one line, without characters that a terminal or XML could not show.
    """
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def _of_pipeline(pipeline: "Pipeline") -> Flow:
    nodes = pipeline.graph.nodes
    classes = {name: type(nodes[name]["instance"]).__name__ for name in nodes}
    edges = [
        Edge(sender, data["from_socket"].name, receiver, data["to_socket"].name)
        for sender, receiver, data in pipeline.graph.edges(data=True)
    ]
    inputs = {
        name: [
            socket.name
            for socket in nodes[name]["input_sockets"].values()
            if socket.is_mandatory and not socket.senders
        ]
        for name in nodes
    }
    results = {
        name: [socket.name for socket in nodes[name]["output_sockets"].values() if not socket.receivers]
        for name in nodes
    }
    return Flow(classes, edges, inputs, results)


def _of_definition(definition: Definition) -> Flow:
    data: dict[Any, Any] = definition.data if isinstance(definition.data, dict) else {}
    components = data.get("components")
    classes = {}
    for name, spec in components.items() if isinstance(components, dict) else ():
        kind = spec.get("type", "?") if isinstance(spec, dict) else "?"
        classes[str(name)] = str(kind).rpartition(".")[2]
    edges = []
    connections = data.get("connections")
    for connection in connections if isinstance(connections, list) else ():
        if isinstance(connection, dict):
            sender, _, output = str(connection.get("sender")).partition(".")
            receiver, _, input_ = str(connection.get("receiver")).partition(".")
            if sender in classes and receiver in classes:
                edges.append(Edge(sender, output, receiver, input_))
    return Flow(classes, edges)


def _layers(names: list[str], edges: list[Edge]) -> dict[str, int]:
    """Longest way to each node, over the edges that close no cycle when they are met from the pipeline's start."""
    followers: dict[str, list[str]] = {name: [] for name in names}
    for edge in edges:
        if edge.receiver not in followers[edge.sender]:
            followers[edge.sender].append(edge.receiver)
    order = _finish_order(_starts_first(names, edges), followers)[::-1]
    position = {name: index for index, name in enumerate(order)}
    layers = dict.fromkeys(order, 0)
    for name in order:
        for follower in followers[name]:
            if position[follower] > position[name]:
                layers[follower] = max(layers[follower], layers[name] + 1)
    return layers


def _starts_first(names: list[str], edges: list[Edge]) -> list[str]:
    receivers = {edge.receiver for edge in edges}
    return [name for name in names if name not in receivers] + [name for name in names if name in receivers]


def _finish_order(names: list[str], followers: dict[str, list[str]]) -> list[str]:
    """Depth-first search without recursion; a node is finished after all that follow it."""
    finished: list[str] = []
    seen: set[str] = set()
    for root in names:
        stack = [] if root in seen else [(root, iter(followers[root]))]
        seen.add(root)
        while stack:
            name, rest = stack[-1]
            follower = next((follower for follower in rest if follower not in seen), None)
            if follower is None:
                finished.append(name)
                stack.pop()
            else:
                seen.add(follower)
                stack.append((follower, iter(followers[follower])))
    return finished
