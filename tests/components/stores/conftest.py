"""Haystack's asynchronous tests, run without a plugin for it."""

import asyncio
import inspect

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark that Haystack's tests have."""
    config.addinivalue_line("markers", "asyncio: a coroutine, run in an event loop of its own")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine in an event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
