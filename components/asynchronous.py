"""Asynchronous forms of methods that wait for files or compute."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

Self = TypeVar("Self")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_thread(
    method: Callable[Concatenate[Self, Parameters], Result],
) -> Callable[Concatenate[Self, Parameters], Coroutine[Any, Any, Result]]:
    """The coroutine that runs a method in a thread, so that an event loop goes on meanwhile.

    :param method: A method whose object may be called from any thread.
    :returns: A method of the same signature, named as the other with `_async` behind.
    """
    name = method.__name__

    async def run(self: Self, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        # Looked up by its name: what a subclass does instead is done here too.
        result: Result = await asyncio.to_thread(getattr(self, name), *args, **kwargs)
        return result

    functools.update_wrapper(run, method)
    run.__name__ = f"{name}_async"
    run.__qualname__ = f"{method.__qualname__}_async"
    run.__doc__ = f"As `{name}`, in a thread."
    return run
