"""A real Elasticsearch for tests: the one that is named, or one that is started beside the data."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lodestone import ElasticsearchStore

NewStore = Callable[..., "ElasticsearchStore"]
REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCHER = (
    Path(os.environ.get("LODESTONE_SHARED", REPOSITORY / ".." / "shared")).resolve() / "elasticsearch/elasticsearch"
)
# A node that lives for a minute never earns back what compiling its code well costs.
SHORT_LIVED = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


class Server:
    """One node that tests may kill.

    :param folder: Its data, logs and process id.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [str(port) for port in free_ports(2)]
        self.url = f"http://127.0.0.1:{self._ports[0]}"

    def start(self) -> None:
        port, transport = self._ports
        self._run("start", "--port", port, "--transport-port", transport, "--heap", "512m")

    def stop(self, kill: bool = False) -> None:
        self._run("stop", *(["--kill"] if kill else []))

    def remove(self) -> None:
        self._run("stop", "--kill", "--purge")

    def _run(self, command: str, *options: str) -> None:
        subprocess.run(
            [sys.executable, str(LAUNCHER), command, "--run", str(self._folder), *options],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **SHORT_LIVED},
        )


def missing() -> str | None:
    """Why no server can be started here; None if one can."""
    if not LAUNCHER.is_file():
        return f"there is no {LAUNCHER}"
    if shutil.which("java") is None:
        return "java is not installed (openjdk-17-jre-headless)"
    return None


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    # Not of those that the system gives to clients: while the server is down, one could connect to itself.
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(15_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
