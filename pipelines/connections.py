"""Checking the connections of a definition: names, sockets, types."""

import inspect
from typing import TYPE_CHECKING, Any

from lodestone.pipelines.definition import Definition, KeyPath
from lodestone.pipelines.problem import Problem, did_you_mean, one_line, shown

if TYPE_CHECKING:
    from haystack import Pipeline

_ENDS = ("sender", "receiver")
_DIRECTIONS = {"sender": "output", "receiver": "input"}


class ConnectionChecker:
    """
    Checks connections, and makes those that are right in the pipeline.

    :param definition: The definition; its `problem` says where things are.
    :param pipeline: The pipeline with the components that could be built, not connected.
    :param classes: The class of every named component, None where it is not known; these may be more than the
        pipeline has.
    """

    def __init__(self, definition: Definition, pipeline: "Pipeline", classes: dict[str, type | None]) -> None:
        self._definition = definition
        self._pipeline = pipeline
        self._classes = classes
        self.problems: list[Problem] = []

    def check(self, connections: Any) -> None:
        """
        Check the list of connections and make them; what is wrong is added to `problems`.

        :param connections: The value of the definition's `connections`.
        """
        path: KeyPath = ("connections",)
        if not isinstance(connections, list | tuple):
            self._add(path, f"connections must be a list of sender and receiver, got {shown(connections)}")
            return
        for index, connection in enumerate(connections):
            self._check_one(connection, (*path, index))

    def check_hayhooks(self, key: str, mapping: Any) -> None:
        """
        Check that what hayhooks' `inputs` or `outputs` name exists.

        :param key: `inputs` or `outputs`.
        :param mapping: The value of that key; None if it is not in the definition.
        """
        if mapping is None:
            return
        if not isinstance(mapping, dict):
            self._add((key,), f"{key} must be a mapping of names to component.socket, got {shown(mapping)}")
            return
        end = "receiver" if key == "inputs" else "sender"
        for name, targets in mapping.items():
            path: KeyPath = (key, name)
            for index, target in enumerate(targets if isinstance(targets, list) else [targets]):
                here = (*path, index) if isinstance(targets, list) else path
                if not isinstance(target, str) or "." not in target:
                    self._add(here, f"{key}: {name!r} must be component.socket, got {shown(target)}")
                else:
                    self._check_end(end, target, here)

    def _check_one(self, connection: Any, path: KeyPath) -> None:
        if not isinstance(connection, dict):
            self._add(path, f"a connection must be a mapping with sender and receiver, got {shown(connection)}")
            return
        for key in connection.keys() - set(_ENDS):
            hint = did_you_mean(key, _ENDS)
            self._add((*path, key), f"a connection has an unknown key {key!r}; valid keys: sender, receiver.{hint}")
        right = True
        for end in _ENDS:
            if end not in connection:
                self._add(path, f"a connection has no {end}; it needs sender and receiver")
                right = False
            else:
                right = self._check_end(end, connection[end], (*path, end)) and right
        if right:
            self._connect(connection["sender"], connection["receiver"], path)

    def _check_end(self, end: str, text: Any, path: KeyPath) -> bool:
        if not isinstance(text, str) or not text:
            self._add(path, f"{end} must be component.socket, got {shown(text)}")
            return False
        name, _, socket = text.partition(".")
        if name not in self._classes:
            names = ", ".join(self._classes)
            hint = did_you_mean(name, self._classes)
            self._add(path, f"{end} {text!r}: there is no component {name!r}; components: {names}.{hint}")
            return False
        sockets = self._sockets(name, end)
        if sockets is None or "." not in text:
            return True
        if socket not in sockets:
            direction = _DIRECTIONS[end]
            known = _named(sockets)
            hint = did_you_mean(socket, sockets)
            self._add(path, f"{end} {text!r}: {name} has no {direction} {socket!r}; {direction}s: {known}.{hint}")
            return False
        return True

    def _sockets(self, name: str, end: str) -> dict[str, Any] | None:
        """Give the types of a component's sockets by name; None if only an instance, which there is not, knows."""
        if name in self._pipeline.graph.nodes:
            sockets = self._pipeline.graph.nodes[name][f"{_DIRECTIONS[end]}_sockets"]
            return {socket: sockets[socket].type for socket in sockets}
        cls = self._classes[name]
        return None if cls is None else _sockets_of_class(cls, end)

    def _connect(self, sender: str, receiver: str, path: KeyPath) -> None:
        (source, _, output), (target, _, input_) = sender.partition("."), receiver.partition(".")
        if source == target:
            self._add(path, f"cannot connect {sender} to {receiver}: a component cannot be connected to itself")
            return
        gives, takes = self._sockets(source, "sender"), self._sockets(target, "receiver")
        if (
            gives
            and takes
            and output in gives
            and input_ in takes
            and not self._compatible(gives[output], takes[input_])
        ):
            fitting = [f"{target}.{name}" for name in takes if self._compatible(gives[output], takes[name])]
            hint = f" Inputs that would take it: {', '.join(fitting)}." if fitting else ""
            wanted = f"{_type_text(gives[output])} is given and {_type_text(takes[input_])} is wanted"
            self._add(path, f"cannot connect {sender} to {receiver}: the types do not match, {wanted}.{hint}")
            return
        if any(name not in self._pipeline.graph.nodes for name in (source, target)):
            return
        try:
            self._pipeline.connect(sender, receiver)
        except Exception as error:  # Haystack raises ValueError, PipelineConnectError and others here
            reason = one_line(str(error).partition("\n")[0])
            known = f" (outputs: {_named(gives or {})}; inputs: {_named(takes or {})})"
            self._add(path, f"cannot connect {sender} to {receiver}: {reason}{known}")

    def _compatible(self, given: Any, wanted: Any) -> bool:
        from haystack.core.type_utils import _types_are_compatible

        if isinstance(given, str) or isinstance(wanted, str):
            return True  # an annotation that could not be resolved
        return _types_are_compatible(given, wanted, self._pipeline._connection_type_validation)[0]

    def _add(self, path: KeyPath, message: str) -> None:
        self.problems.append(self._definition.problem(path, message))


def _sockets_of_class(cls: type, end: str) -> dict[str, Any] | None:
    """Read sockets off the class where no instance can add to them."""
    from haystack.core.component.types import InputSocket

    run = getattr(cls, "run", None)
    if run is None:
        return None
    if end == "sender":
        outputs = getattr(run, "_output_types_cache", None)
        return outputs and {name: socket.type for name, socket in outputs.items()}
    parameters = list(inspect.signature(run).parameters.values())[1:]
    if any(parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in parameters):
        return None
    return {parameter.name: InputSocket(parameter.name, parameter.annotation).type for parameter in parameters}


def _type_text(kind: Any) -> str:
    from haystack.core.type_utils import _type_name

    return _type_name(kind)


def _named(sockets: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({_type_text(kind)})" for name, kind in sockets.items()) or "none"
