"""What decides the results of an evaluation, as one hash."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from haystack import Pipeline

from lodestone import __version__
from lodestone.components.models import resolve_model
from lodestone.components.readers.calibration import cached_calibration, hash_weights


def fingerprint(*parts: Any) -> str:
    """SHA-256 (hex) of JSON values and our version; whatever else is among them counts by its text.

    :param parts: The values.
    """
    return hashlib.sha256(json.dumps([__version__, *parts], sort_keys=True, default=str).encode()).hexdigest()


def hash_files(files: Iterable[Path]) -> str:
    """SHA-256 (hex) over the bytes of files, in their order.

    :param files: The files.
    """
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def hash_reader(reader: Any) -> str:
    """SHA-256 (hex) of all that a reader's answers depend on: its parameters, weights, configuration and calibration.

    :param reader: A reader with `model` and `to_dict`; of one whose model is no folder only the parameters count.
    """
    parameters = reader.to_dict() if hasattr(reader, "to_dict") else type(reader).__name__
    model, calibration = getattr(reader, "model", None), getattr(reader, "calibration", None)
    if not isinstance(model, str):
        return fingerprint(parameters)
    token = getattr(reader, "token", None)
    folder = resolve_model(model, token=token.resolve_value() if token is not None else None)
    weights = hash_weights(folder)
    # Without a calibration of its own a reader takes the one that `lodestone calibrate` kept for its weights.
    fitted = Path(calibration) if calibration is not None else cached_calibration(weights)
    files = [*sorted(folder.glob("*.json")), fitted]
    return fingerprint(parameters, weights, hash_files(file for file in files if file.is_file()))


def hash_pipeline(pipeline: Pipeline) -> str:
    """SHA-256 (hex) of a pipeline's components, their parameters and connections, but not of where its index is.

    :param pipeline: The pipeline.
    """
    data = pipeline.to_dict()
    for described in data["components"].values():
        described.get("init_parameters", {}).pop("document_store", None)
    return fingerprint(data["components"], data["connections"])


def hash_index(store: Any) -> str:
    """SHA-256 (hex) of what an index holds, by its ledger.

    :param store: The document store; of one without a ledger only the number of passages counts, and None for nothing.
    """
    records = store.sources() if hasattr(store, "sources") else ()
    ledger = sorted([record.root, record.path, record.content_hash, record.pipeline] for record in records)
    return fingerprint(ledger, count_passages(store))


def count_passages(store: Any) -> int | None:
    """How many passages a pipeline's index holds.

    :param store: The document store; None for a pipeline without one, which gives None.
    """
    return None if store is None else int(store.count_documents())
