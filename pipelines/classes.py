"""From the `type` of a definition to a class, without ever importing a module that is not trusted."""

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from types import ModuleType
from typing import Any

from lodestone.pipelines.problem import did_you_mean, one_line, shown

_DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_DOTTED_NAMES = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
EXAMPLE = "haystack.components.writers.document_writer.DocumentWriter"


class UnknownClassError(Exception):
    """A `type` that cannot be used; the message says why and what could be."""


def trusted_modules() -> tuple[str, ...]:
    """
    List the packages whose classes a definition may name.

    The environment has no say in it: neither `HAYSTACK_DESERIALIZATION_ALLOWLIST` nor
    `HAYSTACK_UNSAFE_DESERIALIZATION` adds to it. Only text deep in a component's own settings, which Haystack alone
    can tell to be a type or a callable (`output_type` of a route), is left to Haystack and so to its switches.

    :returns: `lodestone`, then Haystack's own default allow-list.
    """
    from haystack.core.serialization_security import DEFAULT_ALLOWED_MODULES

    return ("lodestone", *DEFAULT_ALLOWED_MODULES)


def is_trusted(name: str) -> bool:
    """
    Say whether a module or a dotted name lies in a trusted package.

    :param name: `package.module` or `package.module.Name`.
    :returns: Whether its first part is one of `trusted_modules`.
    """
    return any(name == module or name.startswith(module + ".") for module in trusted_modules())


def untrusted_names(text: str) -> list[str]:
    """
    Find what a serialized type or callable such as `list[os.PathLike]` names outside the trusted packages.

    :param text: The serialized form.
    :returns: The dotted names that are not trusted.
    """
    return [name for name in _DOTTED_NAMES.findall(text) if not is_trusted(name)]


def find_class(name: object, *, component: bool) -> type:
    """
    Import the class that a `type` names.

    :param name: The value of `type`.
    :param component: Whether it must be a Haystack component.
    :returns: The class.
    :raises UnknownClassError: If it is not a full name, not trusted, not there, or not a component.
    """
    if not isinstance(name, str) or not _DOTTED_NAME.fullmatch(name):
        raise UnknownClassError(
            f"type must be the full name of a class, such as {EXAMPLE}, got {shown(name)}.{_by_short_name(name)}"
        )
    module_name, _, class_name = name.rpartition(".")
    if not is_trusted(module_name):
        raise UnknownClassError(
            f"the module '{module_name}' is not trusted, so '{class_name}' was not imported; a definition may name "
            f"classes of {_either(trusted_modules())} only"
        )
    if any(part.startswith("__") for part in name.split(".")):
        raise UnknownClassError(f"'{name}' names Python's internals, not a class")
    found = getattr(_import(module_name), class_name, None)
    if not isinstance(found, type):
        raise UnknownClassError(_no_such_class(module_name, class_name, component))
    if not is_trusted(found.__module__):
        raise UnknownClassError(f"'{name}' is really {found.__module__}.{found.__name__}, whose module is not trusted")
    if component:
        _require_component(name, found)
    elif name != qualified_name(found) and _is_restored_by_name(found):
        raise UnknownClassError(f"'{class_name}' is defined elsewhere: write '{qualified_name(found)}'")
    return found


def qualified_name(cls: type) -> str:
    """
    Give the name by which Haystack knows a class.

    :param cls: The class.
    :returns: `module.Class` of the module that defines it.
    """
    return f"{cls.__module__}.{cls.__name__}"


def own_from_dict_source(cls: type) -> str:
    """
    Read the source of a class's own `from_dict`, which may accept what `__init__` does not.

    :param cls: The class.
    :returns: The source; an empty string if the class has no `from_dict` of its own or its source is not there.
    """
    from_dict = getattr(cls, "from_dict", None)
    if from_dict is None:
        return ""
    try:
        return inspect.getsource(from_dict)
    except (OSError, TypeError):
        return ""


def _require_component(name: str, cls: type) -> None:
    from haystack import component

    if name in component.registry:
        return
    real = qualified_name(cls)
    if real in component.registry:
        raise UnknownClassError(f"'{cls.__name__}' is defined elsewhere: write '{real}'")
    choices = _choices(importlib.import_module(cls.__module__), True)
    raise UnknownClassError(f"'{name}' is not a Haystack component.{_listed(cls.__name__, choices)}")


def _is_restored_by_name(cls: type) -> bool:
    """Whether Haystack compares the `type` with the class's own name when it restores an object of it."""
    return not hasattr(cls, "from_dict") or "default_from_dict" in own_from_dict_source(cls)


def _import(module_name: str) -> ModuleType:
    parent = ""
    for part in module_name.split("."):
        child = f"{parent}.{part}" if parent else part
        if not _exists(child):
            raise UnknownClassError(_no_such_module(parent, child))
        try:
            module = importlib.import_module(child)
        except Exception as error:  # a module may fail in any way while it is imported
            raise UnknownClassError(
                f"the module '{child}' cannot be imported: {one_line(error)}; install what it needs"
            ) from None
        parent = child
    return module


def _exists(module_name: str) -> bool:
    # Haystack replaces its packages by importers without a specification, which find_spec refuses.
    if sys.modules.get(module_name) is not None:
        return True
    try:
        return importlib.util.find_spec(module_name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _no_such_module(parent: str, child: str) -> str:
    message = f"there is no module '{child}'"
    if not parent:
        return f"{message}; is its package installed?"
    paths = getattr(importlib.import_module(parent), "__path__", None)
    if paths is None:
        return f"{message}: '{parent}' is a module without submodules"
    names = sorted(module.name for module in pkgutil.iter_modules(paths) if not module.name.startswith("_"))
    if not names:
        return message
    return f"{message}.{_listed(child.rpartition('.')[2], names, f'{parent} has')}"


def _no_such_class(module_name: str, class_name: str, component: bool) -> str:
    choices = _choices(importlib.import_module(module_name), component)
    return f"'{module_name}' has no class '{class_name}'.{_listed(class_name, choices)}"


def _choices(module: ModuleType, component: bool) -> list[str]:
    """List the classes that a module defines, or that a package re-exports, by the name a definition needs."""
    from haystack import component as components

    package = module.__name__ + "."
    exported = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    choices = set()
    for name in exported:
        # Packages of Haystack import their classes when first asked for; one that lacks its library is no choice.
        try:
            value: Any = getattr(module, name, None)
        except Exception:
            continue
        if isinstance(value, type) and f"{value.__module__}.".startswith(package):
            real = qualified_name(value)
            if real in components.registry or not component:
                choices.add(value.__name__ if value.__module__ == module.__name__ else real)
    return sorted(choices)


def _listed(wrong: str, choices: list[str], label: str = "Valid classes:") -> str:
    if not choices:
        return ""
    by_short = {choice.rpartition(".")[2]: choice for choice in choices}
    close = difflib.get_close_matches(wrong, by_short, n=1, cutoff=0.6)
    hint = f" Did you mean '{by_short[close[0]]}'?" if close else ""
    shown_choices = ", ".join(choices[:12]) + (f" and {len(choices) - 12} more" if len(choices) > 12 else "")
    return f"{hint} {label} {shown_choices}"


def _by_short_name(name: object) -> str:
    from haystack import component

    registered = {full.rpartition(".")[2]: full for full in component.registry if is_trusted(full)}
    if isinstance(name, str) and name in registered:
        return f" Did you mean '{registered[name]}'?"
    hint = did_you_mean(name, registered) if isinstance(name, str) and name else ""
    return hint and f" Did you mean '{registered[hint.split(chr(39))[1]]}'?"


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
