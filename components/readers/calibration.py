"""From logit margins and wording to probabilities that can be compared, summed and trusted."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.components.engines.cache import cache_folder
from lodestone.components.engines.weights import file_digest, weight_files
from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.evidence import EXACT, FOUND, WHICH, Evidence, Float64Array

CALIBRATION_FILE = "calibration.json"
BIAS = "bias"
_FORMAT = 2
_PARTS = {"found": (*FOUND, BIAS), "which": WHICH, "exact": (*EXACT, BIAS), "adapted": ("scale", BIAS)}
_AS_FITTED = {"scale": 1.0, BIAS: 0.0}


@dataclass(frozen=True)
class Distribution:
    """Probabilities over a question's answers and there being none.

    :param answers: That each answer's words are exactly right, float64, shape (answers,).
    :param places: That the right answer stands where each answer is, exactly cut or not, the same shape.
    :param none: That the answer does not stand in what was read. With the places it sums to 1.
    """

    answers: Float64Array
    places: Float64Array
    none: float


@dataclass(frozen=True)
class Calibration:
    """Three small logistic models: was the answer found, which answer is it, and are these its exact words?

    An answer's probability is the product of the three. "No answer" has the complement of the first, so answers and
    "no answer" share one scale; what they lack to 1 is the probability that the right words are another cut of one of
    the answers. The features are those of `Evidence`.

    :param found: Weights of `FOUND` and `"bias"`: log odds that the answer was found (Platt 1999).
    :param which: Weights of `WHICH`: utilities of the answers in a conditional logit (McFadden 1974).
    :param exact: Weights of `EXACT` and `"bias"`: log odds that an answer at the right place is exactly cut.
    :param adapted: What brings the probabilities to other questions than they were fitted on: the log odds of the most
        probable answer, times `"scale"` plus `"bias"`. The other answers change in proportion to it, and what all of
        them gain or lose, "no answer" and other cuts lose or gain.
    :param weights_sha256: Hash of the model's weights that it was fitted for, or None if it is not bound to any.
    :param fitted_on: What it was fitted on and how well it did: free entries.
    :raises ValueError: If a weight is missing, is unknown or is no finite number.
    """

    found: Mapping[str, float]
    which: Mapping[str, float]
    exact: Mapping[str, float]
    adapted: Mapping[str, float] = field(default_factory=lambda: dict(_AS_FITTED))
    weights_sha256: str | None = None
    fitted_on: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part, names in _PARTS.items():
            weights = getattr(self, part)
            if not isinstance(weights, Mapping) or set(weights) != set(names):
                raise ValueError(f"{part!r} must have the weights {', '.join(names)}")
            if not all(isinstance(weight, int | float) and math.isfinite(weight) for weight in weights.values()):
                raise ValueError(f"the weights of {part!r} must be finite numbers")

    def weights(self, part: str) -> Float64Array:
        """The weights of one part in the order of the features, the bias last.

        :param part: `"found"`, `"which"`, `"exact"` or `"adapted"`.
        """
        return np.array([getattr(self, part)[name] for name in _PARTS[part]], dtype=np.float64)

    @classmethod
    def of(cls, found: Float64Array, which: Float64Array, exact: Float64Array) -> "Calibration":
        """A calibration, bound to no model, of weights in the order that `weights` gives."""
        return cls(_named("found", found), _named("which", which), _named("exact", exact))

    def distribution(self, evidence: Evidence) -> Distribution:
        """Probabilities of the answers to one question, and of there being none.

        :param evidence: Their features.
        """
        if not len(evidence):
            return Distribution(np.zeros(0), np.zeros(0), 1.0)
        found, exact = self.weights("found"), self.weights("exact")
        utilities = evidence.which @ self.weights("which")
        shares = np.exp(utilities - utilities.max())
        missing = float(_sigmoid(-(evidence.found @ found[:-1] + found[-1])))
        places = (1 - missing) * shares / shares.sum()
        answers = places * _sigmoid(evidence.exact @ exact[:-1] + exact[-1])
        return self._adapt(Distribution(answers, places, missing))

    def _adapt(self, fitted: Distribution) -> Distribution:
        if self.adapted == _AS_FITTED:
            return fitted
        scale, bias = self.weights("adapted")
        best, total = float(fitted.answers.max()), float(fitted.answers.sum())
        wanted = float(_sigmoid(scale * log_odds(np.array(best)) + bias))
        answers = fitted.answers * min(wanted / max(best, 1e-12), 1 / max(total, 1e-12))
        rest = max(1 - float(answers.sum()), 0.0) / max(1 - total, 1e-12)
        return Distribution(answers, answers + rest * (fitted.places - fitted.answers), rest * fitted.none)

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
                raise ValueError("it has another format; make it again with `lodestone calibrate`")
            return cls(**data)
        except FileNotFoundError as error:
            raise ConfigurationError(f"calibration file {path} does not exist; leave `calibration` out") from error
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise ConfigurationError(f"{path} is not a calibration file: {error}") from error


def _named(part: str, weights: Float64Array) -> dict[str, float]:
    return {name: float(weight) for name, weight in zip(_PARTS[part], weights, strict=True)}


def log_odds(p: Float64Array) -> Float64Array:
    """The log odds of probabilities, finite also of 0 and 1.

    :param p: Probabilities, float64.
    """
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    odds: Float64Array = np.log(inside) - np.log1p(-inside)
    return odds


def _sigmoid(values: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(values)))


def hash_weights(folder: Path) -> str:
    """SHA-256 (hex) over the hashes of a model folder's weight files in the order of their names."""
    digest = hashlib.sha256()
    for file in weight_files(folder):
        digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()


def cached_calibration(weights_sha256: str) -> Path:
    """Where the calibration of a model lies whose folder is not ours to write to.

    :param weights_sha256: The hash of its weights.
    """
    return cache_folder() / "calibrations" / f"{weights_sha256}.json"
