"""Being connected to a Ray cluster, quietly, for as long as a job takes."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lodestone.components.errors import ConfigurationError

_logger = logging.getLogger(__name__)
_REACH_SECONDS = 10


@dataclass(frozen=True)
class Shares:
    """How the machines of a cluster are shared out between converting and embedding.

    :param embedders: How many actors embed.
    :param embedder_cpus: CPUs that each has, at least on the books.
    :param embedder_gpus: GPUs that each has: 0 or 1.
    :param nodes: The nodes where they are to be, in turn; [] for any.
    :param converters: How many tasks convert at the same time.
    :param converter_cpus: CPUs that each has.
    """

    embedders: int
    embedder_cpus: float
    embedder_gpus: int
    nodes: list[str]
    converters: int
    converter_cpus: float


def shares(nodes: list[tuple[str, float, int]], workers: int | None, embeds: bool) -> Shares:
    """Share out a cluster.

    A GPU has an embedding actor of its own. Where there are none, every machine has one, which computes on all its
    cores and is booked on half of them; the other half converts.

    :param nodes: The machines: id, CPUs, GPUs.
    :param workers: How many tasks are to convert at the same time; None for as many as there are CPUs left.
    :param embeds: Whether the pipeline embeds.
    :returns: The shares, of at least one embedder and one converter.
    """
    computing = [cpus for _, cpus, _ in nodes if cpus]
    smallest = min(computing, default=2.0)
    on_gpus = embeds and any(gpus for _, _, gpus in nodes)
    if on_gpus:
        where = [node for node, _, gpus in nodes for _ in range(gpus)]
        booked = 1.0 if all(cpus > gpus for _, cpus, gpus in nodes if gpus) else 0.0
    else:
        where = [node for node, cpus, _ in nodes if cpus]
        # Ray books fractions of one CPU only.
        booked = 0.0 if not embeds else float(smallest // 2) if smallest >= 2 else smallest / 2
    left = max(1, len(computing), int(sum(computing) - booked * len(where)))
    return Shares(
        embedders=max(1, len(where)),
        embedder_cpus=booked,
        embedder_gpus=int(on_gpus),
        nodes=where,
        converters=left if workers is None else workers,
        converter_cpus=1.0 if smallest >= 2 else smallest / 2,
    )


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, unless this process is connected already.

    :param address: Where the cluster is; None for that of RAY_ADDRESS, or else for one of this machine's own that ends
        with the block.
    :returns: The package `ray`.
    :raises ConfigurationError: If no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports nothing home
    import ray

    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    alone: dict[str, Any] = {"include_dashboard": False, "num_cpus": _cpus()} if address == "local" else {}
    with _own_signals():
        try:
            _reach(address)
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **alone)
        except (OSError, RuntimeError, ValueError) as error:
            words = str(error).split("\n")[0]
            raise ConfigurationError(
                f"no Ray cluster can be reached at {address} ({words}); give HOST:PORT of its head on a machine that "
                "belongs to it, or leave the address out to start Ray on this machine"
            ) from error
    try:
        with _off_the_terminal():
            yield ray
    finally:
        ray.shutdown()


def last_line(error: Exception) -> str:
    """What an error of Ray comes to: its last line, behind the trace of another machine.

    :param error: The error.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _reach(address: str) -> None:
    """Try an address for seconds: Ray itself would for minutes, and then end the process.

    :raises OSError: If nothing answers there.
    :raises ValueError: If it is no address.
    """
    if address in ("local", "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "://" in address:
        raise ValueError("not of the form HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _off_the_terminal() -> Iterator[None]:
    """What Ray says of lost machines is logged; by itself it prints that among the job's own output."""
    from ray._private import worker

    printing = worker.print_to_stdstream

    def log(data: dict[str, Any], ignore_prefix: bool) -> None:
        _logger.info("%s", "\n".join(data["lines"]))

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts: give it back to the job, which ends in good order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
