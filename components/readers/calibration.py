"""From logit margins to probabilities that can be compared, summed and trusted."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lodestone.components.engines.weights import file_digest, weight_files
from lodestone.components.errors import ConfigurationError

CALIBRATION_FILE = "calibration.json"
_FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """A two-parameter map from an answer's margin to the odds that it is right (Platt 1999).

    `log odds = scale * margin + offset`, where the margin is the span's logit less the window's null score.

    :param scale: Slope, above 0.
    :param offset: Log odds at a margin of 0.
    :param weights_sha256: Hash of the weights that it was fitted for, or None if it is not bound to any.
    :param fitted_on: What it was fitted on and how well it did: free entries.
    """

    scale: float
    offset: float
    weights_sha256: str | None = None
    fitted_on: dict[str, Any] = field(default_factory=dict)

    def log_odds(self, margin: float) -> float:
        """Log odds that an answer with this margin is right, judged by itself."""
        return self.scale * margin + self.offset

    def distribution(self, margins: Sequence[float]) -> tuple[list[float], float]:
        """Probabilities of competing answers to one question, and of there being none.

        At most one of the merged answers is right, so their odds are weighed against each other and against "no
        answer" in one sum, which for a single answer is Platt's map itself.

        :param margins: The margin of each distinct answer.
        :returns: The answers' probabilities and that of "no answer"; together they are 1.
        """
        log_odds = [self.log_odds(margin) for margin in margins]
        highest = max([0.0, *log_odds])
        weights = [math.exp(value - highest) for value in log_odds]
        none = math.exp(-highest)
        total = none + sum(weights)
        return [weight / total for weight in weights], none / total

    def save(self, path: Path) -> None:
        """Write the calibration as JSON."""
        path.write_text(json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read a calibration.

        :param path: A file that `save` wrote.
        :raises ConfigurationError: If it is missing or is no calibration.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("unknown format")
            calibration = cls(**data)
            if not (math.isfinite(calibration.scale) and calibration.scale > 0 and math.isfinite(calibration.offset)):
                raise ValueError("scale must be a number above 0 and offset a number")
        except FileNotFoundError as error:
            raise ConfigurationError(f"calibration file {path} does not exist; leave `calibration` out") from error
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise ConfigurationError(f"{path} is not a calibration file: {error}") from error
        return calibration


def hash_weights(folder: Path) -> str:
    """SHA-256 (hex) over the hashes of a model folder's weight files in the order of their names."""
    digest = hashlib.sha256()
    for file in weight_files(folder):
        digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()
