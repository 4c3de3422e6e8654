"""Loading models without a word on the terminal."""

import contextlib
import functools
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and reports while a model is loaded, and put it back after."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def quiet_nncf() -> Iterator[None]:
    """Keep NNCF from drawing progress bars, which go to stdout among a command's answers, and put it back after."""
    from nncf.common.logging.track_progress import track

    drawing = track.__init__
    track.__init__ = functools.partialmethod(drawing, disable=True)
    try:
        yield
    finally:
        track.__init__ = drawing
