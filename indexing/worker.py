"""What runs in a worker process: it converts the documents that it is sent, and is expendable.

A document that crashes, hangs or exhausts its converter takes this process with it, and nothing else.
"""

import contextlib
import gc
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

OUT_OF_MEMORY = 77
"""Exit status of a worker whose memory did not suffice for a document."""
# After this the system ends a worker whose job is no longer there to do it.
_GRACE_SECONDS = 30


def serve(descriptor: int, definition: str | None) -> None:
    """Convert what comes over a connection until it is closed.

    The first message is the description of a `ConvertingStage` with the `Rules`; the answer is None, or why it cannot
    be made. Each further message is a `Task`; the answer is its `Conversion`.

    :param descriptor: File descriptor of the connection.
    :param definition: A pipeline definition that the job is about to load: what it needs is imported meanwhile.
    """
    from lodestone.indexing.conversion import OutOfMemoryError, convert
    from lodestone.pipelines.stages import ConvertingStage

    connection = Connection(descriptor)
    if definition is not None:
        from lodestone.pipelines.loader import load_pipeline

        with contextlib.suppress(Exception):  # the job says what is wrong with it
            load_pipeline(definition)
    with contextlib.suppress(EOFError, ConnectionError):
        description, rules = connection.recv()
        try:
            stage = ConvertingStage.from_dict(description)
            stage.pipeline.warm_up()
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
            return
        connection.send(None)
        _be_silent()
        # Converters make many objects that live as long as their document: looking for cycles among them as often as
        # Python does by itself took 18 % of the time.
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
        _limit_memory(rules.limits.memory)
        most = _peak() + rules.limits.memory * 2**20 // 2
        # A worker that has grown is replaced, so that nothing that libraries leak adds up.
        while _peak() < most:
            task = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, rules.limits.seconds + _GRACE_SECONDS)
            try:
                conversion = convert(task, stage, rules)
            except OutOfMemoryError:
                os._exit(OUT_OF_MEMORY)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(conversion)


def _be_silent() -> None:
    """What libraries print about a document is in nobody's way."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _limit_memory(megabytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = Path("/proc/self/statm")
    if not size.exists():
        return
    now = int(size.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _peak() -> int:
    """The most memory that the process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
