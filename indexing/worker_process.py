"""A worker process, as the job sees it."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from multiprocessing import Pipe
from typing import Any

from lodestone.components.errors import LodestoneError
from lodestone.indexing.conversion import Conversion, Rules, Task
from lodestone.indexing.limits import Limits
from lodestone.indexing.worker import OUT_OF_MEMORY

# A worker computes on one core; the job's own process has the others for embedding.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
# So many tasks, or so many bytes of documents, wait in a worker, so that it need not wait for the job.
_TASKS_AHEAD = 8
_BYTES_AHEAD = 2**20
# Less than a connection buffers: sending more to a worker that is sending itself would block both.
_MESSAGES_AHEAD = 32 * 2**10
_DYING_SECONDS = 5


class WorkerProcess:
    """A process that converts documents. It is started at once, and set up when the pipeline is there.

    :param definition: A pipeline definition that is about to be loaded: the process imports what it needs meanwhile.
    """

    def __init__(self, definition: str | None = None) -> None:
        self.connection, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from lodestone.indexing.worker import serve; "
            f"serve({theirs.fileno()}, {definition!r})"
        )
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115
        # Not `multiprocessing`, which would run the caller's main module again. A session of its own: Ctrl-C is for
        # the job, which ends its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._messages,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, **_ENVIRONMENT},
        )
        theirs.close()
        self.tasks: deque[Task] = deque()
        self._unanswered: deque[int] = deque()
        self.answered = 0
        self.is_ready = False
        self._since = 0.0

    @property
    def has_room(self) -> bool:
        """Whether it should be given another task."""
        waiting = sum(task.source.size for task in self.tasks)
        return len(self.tasks) < _TASKS_AHEAD and (not self.tasks or waiting < _BYTES_AHEAD)

    def set_up(self, description: dict[str, Any], rules: Rules) -> None:
        """Tell it what to convert with.

        :param description: Of a `ConvertingStage`.
        :param rules: How, besides.
        """
        self.connection.send((description, rules))

    def give(self, task: Task) -> bool:
        """Give it a task, if that can be done without waiting.

        :param task: The task; when the worker is found dead it is still among its `tasks`.
        :returns: Whether it was given.
        """
        message = pickle.dumps(task)
        if self.tasks and sum(self._unanswered) + len(message) > _MESSAGES_AHEAD:
            return False
        if not self.tasks:
            self._since = time.monotonic()
        self.tasks.append(task)
        self._unanswered.append(len(message))
        with contextlib.suppress(OSError):
            self.connection.send_bytes(message)
        return True

    def take(self) -> tuple[Task, Conversion] | None:
        """Receive what it has sent.

        :returns: A task with what became of it; None for the message that it is ready.
        :raises LodestoneError: If it could not be set up.
        :raises EOFError: If it is dead.
        """
        try:
            message = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        self._since = time.monotonic()
        if not self.is_ready:
            if message is not None:
                raise LodestoneError(
                    f"the pipeline cannot be loaded in a worker process ({message}); convert in this process with "
                    "workers 0"
                )
            self.is_ready = True
            return None
        self.answered += 1
        self._unanswered.popleft()
        return self.tasks.popleft(), message

    @property
    def busy_with(self) -> tuple[str, float] | None:
        """The document that it is converting, as the user would type it, and for how many seconds; None if none."""
        if not self.is_ready or not self.tasks or self.connection.poll():
            return None
        return self.tasks[0].source.shown, time.monotonic() - self._since

    def is_late(self, seconds: float) -> bool:
        """Whether its document has taken longer than it may."""
        busy = self.busy_with
        return busy is not None and busy[1] > seconds

    def bury(self) -> int:
        """Wait for its end, after `take` has found it dead.

        :returns: Its exit status, as of `subprocess`.
        """
        self.connection.close()
        try:
            return self._process.wait(timeout=_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self.bury()

    def last_words(self) -> str:
        """The last line that it printed as an error while it started."""
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


def takes_too_long(limits: Limits) -> str:
    """Why a document was given up that its worker has not come to an end with."""
    return f"converting it takes longer than {limits.seconds:g} s; raise the time limit"


def why_it_died(status: int, limits: Limits) -> str:
    """Why a document could not be converted whose worker died.

    :param status: The worker's exit status.
    :param limits: What a document may cost.
    """
    if status == OUT_OF_MEMORY:
        return f"converting it needs more than {limits.memory:,} MiB of memory; raise the memory limit"
    if status == -signal.SIGKILL:
        return "the process that converted it was killed, as the system does when memory runs out"
    if status == -signal.SIGALRM:
        return takes_too_long(limits)
    named = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"its converter crashed ({named})"
