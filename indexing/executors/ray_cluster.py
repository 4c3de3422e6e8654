"""Being connected to a Ray cluster, quietly, for as long as a job takes."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lodestone.components.errors import ConfigurationError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # reports nothing home
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that comes late must not start Ray again
}


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
    total, gpus = sum(cpus for _, cpus, _ in nodes), sum(count for _, _, count in nodes)
    converter_cpus = 1.0 if total >= 2 else 0.5
    if gpus and embeds:
        booked = 1.0 if total > gpus else 0.0
        where = [node for node, _, count in nodes for _ in range(count)]
        embedders, taken, per_gpu = gpus, gpus * booked, 1
    else:
        computing = [(node, cpus) for node, cpus, _ in nodes if cpus]
        where = [node for node, _ in computing]
        smallest = min((cpus for _, cpus in computing), default=2.0)
        booked = 0.0 if not embeds else float(int(smallest) // 2) if smallest >= 2 else 0.5
        embedders, taken, per_gpu = max(1, len(where)), booked * len(where), 0
    left = max(1, int((total - taken) / converter_cpus))
    return Shares(embedders, booked, per_gpu, where, left if workers is None else workers, converter_cpus)


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, unless this process is connected already.

    :param address: Where the cluster is; None for that of RAY_ADDRESS, or else for one of this machine's own that ends
        with the block.
    :returns: The package `ray`.
    :raises ConfigurationError: If Ray is not installed, or no cluster answers.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigurationError(f"--executor ray needs Ray ({error}): pip install 'lodestone[ray]'") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    alone = {"include_dashboard": False, "num_cpus": _cpus()} if address == "local" else {}
    with _own_signals():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **alone)
        except (ConnectionError, RuntimeError, ValueError) as error:
            words = str(error).split("\n")[0]
            raise ConfigurationError(
                f"no Ray cluster can be reached at {address} ({words}); see that `ray status` shows it, or leave "
                "--address out to start Ray on this machine"
            ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
