"""Questions over all paragraphs of several files: which answer is chosen, and what its score is worth.

    python benchmarks/open_domain.py --data dev-v2.0.json reddit.json tales.json --cache FOLDER
        [--peer-python peer/bin/python --peer-questions 300] [--precisions float32 int8] [--plot docs/reliability.svg]

--data are files in SQuAD format: the first with unanswerable questions (SQuAD 2.0's dev set,
https://rajpurkar.github.io/SQuAD-explorer/), of which half of the sample are such; the others of other domains
(SQuADShifts, https://modestyachts.github.io/squadshifts-website/; FairytaleQA). The reader sees the ten paragraphs
that BM25 finds among those of all files, never a question's own by right. What it saw is kept in --cache: a second
run takes a minute, and one that was stopped goes on. Of the first file every figure is of questions that nothing was
fitted on: what is fitted on one half is measured on the other, both ways. "Right" means an exact match after SQuAD's
normalisation; EM and F1 are of the best quote, over the questions that have an answer.
"""

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from open_domain_readings import PASSAGES, readings
from open_domain_rules import (
    Answers,
    Floats,
    Sample,
    best_margin,
    calibrated,
    interpolated,
    isotonic,
    logistic,
    noisy_or,
    platt,
    raw_sum,
    summed_softmax,
    temperature,
    window_softmax,
)

from lodestone.components.models import DEFAULT_READER, resolve_model
from lodestone.components.readers.calibration import Calibration, hash_weights
from lodestone.evaluation.calibrating import FOLDS, Stated, held_out
from lodestone.evaluation.calibration import adapt_calibration, fit_calibration
from lodestone.evaluation.calibration_metrics import (
    auroc,
    brier_score,
    coverage_at_accuracy,
    error_of_perfect,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    right_above,
)
from lodestone.evaluation.fingerprint import hash_files

DRAWS = 20
PEER = """
import json, sys
from haystack import Document
from haystack.utils import ComponentDevice
from haystack_integrations.components.readers.transformers import TransformersExtractiveReader
model, work = json.load(open(sys.argv[1]))
reader = TransformersExtractiveReader(
    model=model, device=ComponentDevice.from_str("cpu"), model_kwargs={"dtype": "float32"}, max_batch_size=16
)
found = []
for number, (question, passages) in enumerate(work):
    answers = reader.run(query=question, documents=[Document(content=text) for text in passages])["answers"]
    best = next(answer for answer in answers if answer.data is not None)
    none = next(answer.score for answer in answers if answer.data is None)
    found.append([best.data, float(best.score), float(none)])
    if number % 50 == 49:
        print(f"  the peer read {number + 1} of {len(work)} questions", flush=True)
json.dump(found, open(sys.argv[2], "w"))
"""


def main() -> None:
    """Read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=int, nargs="+", default=[2000, 1000], help="of the files; the last repeats")
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--precision", default="auto", help="what most figures are taken in")
    parser.add_argument("--precisions", nargs="*", default=[], help="others to measure the calibration error in")
    parser.add_argument("--precision-questions", type=int, default=500, help="of the first file, for those")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path, help="python of an environment with transformers-haystack")
    parser.add_argument("--peer-questions", type=int, default=300)
    parser.add_argument(
        "--new-domain", type=int, nargs="+", default=[100, 300], help="labelled questions to adapt with"
    )
    parser.add_argument(
        "--fit", type=Path, help="write a calibration fitted on all files but the last, which it has not seen"
    )
    parser.add_argument("--plot", type=Path, help="draw the reliability diagram here")
    arguments = parser.parse_args()
    counts = arguments.questions + [arguments.questions[-1]] * len(arguments.data)

    def read(file: Path, count: int, precision: str) -> Sample:
        options = {"model": arguments.reader, "precision": precision, "cache": arguments.cache}
        return Sample(readings(file, arguments.data, count, **options))

    samples = {
        file.stem: read(file, count, arguments.precision) for file, count in zip(arguments.data, counts, strict=False)
    }
    first = next(iter(samples))
    for (name, sample), count in zip(samples.items(), counts, strict=False):
        asked = f"{name}: {len(sample)} of {count} questions found passages"
        print(f"{asked}, {int((~sample.answerable).sum())} of them are unanswerable")
    own = samples[first]
    answers = halves(own, lambda rest, seen: calibrated(rest, fit_calibration(seen.labelled)))
    if arguments.peer_python is not None:
        compare_with_peer(arguments, own, answers)
    print_rules(own, answers)
    print_maps(own, answers)
    print_thresholds(own, answers)
    print_domains(samples, first, arguments.new_domain)
    if arguments.fit is not None:
        write_fit(arguments, samples)
    if arguments.precisions:
        print_precisions(arguments, own, read)
    if arguments.plot is not None:
        plot(arguments.plot, samples, first, answers)


def halves(sample: Sample, answer: Callable[[Sample, Sample], Answers]) -> Answers:
    """Answer each half of the questions by what was fitted on the other."""
    places = list(range(len(sample)))
    random.Random(1).shuffle(places)
    parts = (places[::2], places[1::2])
    texts, scores, none = [""] * len(sample), np.zeros(len(sample)), np.zeros(len(sample))
    for number, part in enumerate(parts):
        found = answer(sample.part(part), sample.part(parts[1 - number]))
        for place, text in zip(part, found.texts, strict=True):
            texts[place] = text
        scores[part] = found.scores
        none[part] = 1 - found.scores if found.none is None else found.none
    return Answers(texts, scores, none)


def platt_margin(rest: Sample, seen: Sample) -> Answers:
    """The plain margin with a map of two parameters."""
    known, new = best_margin(seen), best_margin(rest)
    p = logistic(new.scores, *platt(known.scores, seen.exact(known.texts)))
    return Answers(new.texts, p, 1 - logistic(new.scores, *platt(known.scores, seen.answerable.astype(float))))


def row(name: str, sample: Sample, found: Answers, *, probabilities: bool = True) -> str:
    """One line of a table."""
    exact, f1 = sample.exact(found.texts), sample.f1(found.texts)
    none = -found.scores if found.none is None else found.none
    has = sample.answerable
    cells = [
        f"{100 * exact[has].mean():5.1f}",
        f"{100 * f1[has].mean():5.1f}",
        f"{_number(auroc(none, ~has)):>6}",
        f"{_number(auroc(found.scores, exact)):>6}",
        f"{expected_calibration_error(found.scores, exact):6.3f}" if probabilities else "     -",
        f"{(none > 0.5).mean():6.3f}" if probabilities else "     -",
        f"{coverage_at_accuracy(found.scores, exact, 0.8):6.3f}",
    ]
    return f"| {name:44} | " + " | ".join(cells) + " |"


HEADER = (
    f"| {'':44} |   EM  |   F1  | AUROC answerable | AUROC right | ECE | no answer said | coverage at 80 % right |\n"
    f"| {'---':44} | --- | --- | --- | --- | --- | --- | --- |"
)


def compare_with_peer(arguments: argparse.Namespace, own: Sample, answers: Answers) -> None:
    """Print the peer as it is beside ours, on its questions."""
    places = range(min(arguments.peer_questions, len(own)))
    part = own.part(places)
    kept = arguments.cache / f"peer.{arguments.data[0].stem}.{len(own)}.{len(part)}.json"
    if not kept.exists():
        kept.write_text(json.dumps(ask_peer(arguments.peer_python, arguments.reader, part)))
    found = json.loads(kept.read_text())
    peer = Answers([text for text, _, _ in found], *(np.array(column) for column in list(zip(*found, strict=True))[1:]))
    assert answers.none is not None
    ours = Answers([answers.texts[place] for place in places], answers.scores[places], answers.none[places])
    print(f"\nThe peer, on the first {len(part)} questions\n\n{HEADER}")
    print(row("TransformersExtractiveReader as it is", part, peer))
    print(row("its rule, segment ids passed", part, raw_sum(part)))
    print(row("ours", part, ours))


def ask_peer(python: Path, model: str, sample: Sample) -> list[Any]:
    """Best answer, its score and that of "no answer" for each question, by the peer in an environment of its own."""
    work = [(reading.question.text, [passage.content for passage in reading.passages]) for reading in sample.readings]
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "given.json", Path(folder) / "taken.json"
        given.write_text(json.dumps([str(resolve_model(model)), work]))
        subprocess.run([str(python), "-c", PEER, str(given), str(taken)], check=True)
        found: list[Any] = json.loads(taken.read_text())
    return found


def print_rules(own: Sample, answers: Answers) -> None:
    """Print how the answers are chosen and merged."""
    print(f"\nRules for the best answer and its score\n\n{HEADER}")
    print(row("highest start + end logit", own, raw_sum(own), probabilities=False))
    print(row("softmax over each window's own spans", own, window_softmax(own), probabilities=False))
    print(row("max: highest margin over the null score", own, best_margin(own), probabilities=False))
    print(row("  with two parameters (Platt)", own, halves(own, platt_margin)))
    print(row("noisy-or over an answer's places", own, halves(own, noisy_or)))
    print(row("summed softmax over all windows", own, halves(own, summed_softmax), probabilities=False))
    print(row("margin + weight x BM25 score", own, halves(own, interpolated), probabilities=False))
    print(row("ours: found x which x exact", own, answers))


def print_maps(own: Sample, answers: Answers) -> None:
    """Print what turns the best margin into a probability, beside ours."""
    print("\nMaps to the probability that the best answer is right\n")
    print("| map | ECE | ECE of perfect probabilities | Brier | log loss |\n| --- | --- | --- | --- | --- |")

    def mapped(by: Callable[[Floats, Floats, Floats], Floats]) -> Callable[[Sample, Sample], Answers]:
        def answer(rest: Sample, seen: Sample) -> Answers:
            known, new = best_margin(seen), best_margin(rest)
            return Answers(new.texts, by(known.scores, seen.exact(known.texts), new.scores))

        return answer

    maps: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
        "temperature on the margin": lambda known, right, new: logistic(new, temperature(known, right)),
        "Platt on the margin": lambda known, right, new: logistic(new, *platt(known, right)),
        "isotonic on the margin": isotonic,
    }
    found = {name: halves(own, mapped(by)) for name, by in maps.items()} | {"ours": answers}
    for name, each in found.items():
        right = own.exact(each.texts)
        figures = (
            expected_calibration_error(each.scores, right),
            error_of_perfect(each.scores)[0],
            brier_score(each.scores, right),
            log_loss(each.scores, right),
        )
        print(f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")


def print_thresholds(own: Sample, answers: Answers) -> None:
    """Print what a user gets who asks for answers above a score."""
    right = own.exact(answers.texts)
    print("\n| score above | questions | right |\n| --- | --- | --- |")
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        share, correct = right_above(answers.scores, right, threshold)
        print(f"| {threshold} | {share:.3f} | {_number(correct)} |")


def print_domains(samples: dict[str, Sample], first: str, counts: Sequence[int]) -> None:
    """Print how far fits carry over to domains that they have not seen, and what a few labelled questions add."""
    print("\nOn other domains\n")
    print("| measured on | fitted on | right | stated | AUROC right | ECE | ECE of perfect probabilities |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    whole = fit_calibration(samples[first].labelled)
    for name, sample in samples.items():
        rest = [other for other in samples if other != name]
        fits = {} if name == first else {first: whole}
        if len(rest) > 1:
            fits[" + ".join(rest)] = pooled([samples[other] for other in rest])
        for fitted_on, calibration in fits.items():
            print(_domain_row(name, fitted_on, sample, calibrated(sample, calibration)))
        if name == first:
            continue
        for labels in counts:
            print(_adapted_row(name, first, sample, whole, labels))


def pooled(samples: Sequence[Sample]) -> Calibration:
    """A fit to several domains that count as much as each other."""
    questions = [question for sample in samples for question in sample.labelled]
    weights = [len(questions) / len(samples) / len(sample) for sample in samples for _ in range(len(sample))]
    return fit_calibration(questions, weights=weights)


def adapted(sample: Sample, start: Calibration, labels: int, draw: int) -> tuple[Floats, Floats]:
    """Stated probabilities and truth on the questions of a domain that are left after some were fitted on."""
    places = list(range(len(sample)))
    random.Random(draw).shuffle(places)
    fitted = adapt_calibration(start, [sample.labelled[place] for place in places[:labels]])
    rest = sample.part(places[labels:])
    found = calibrated(rest, fitted)
    return found.scores, rest.exact(found.texts)


def write_fit(arguments: argparse.Namespace, samples: dict[str, Sample]) -> None:
    """Fit on all files but the last and write the calibration with its figures on held-out folds."""
    *seen, unseen = samples.values()
    fitted = pooled(seen)
    questions = [question for sample in seen for question in sample.labelled]
    weights = [len(questions) / len(seen) / len(sample) for sample in seen for _ in range(len(sample))]
    stated = held_out(questions, questions, None, weights)
    known = calibrated(unseen, fitted)
    record = {
        "data": [
            {"file": file.name, "sha256": hash_files([file]), "questions": len(sample)}
            for file, sample in zip(arguments.data, seen, strict=False)
        ],
        "retrieval": "BM25 over the paragraphs of all files",
        "questions": len(questions),
        "unanswerable": sum(int((~sample.answerable).sum()) for sample in seen),
        "found_in_passages": sum(question.place is not None for question in questions),
        "passages_per_question": PASSAGES,
        "right": "exact match after SQuAD's normalisation",
        "precision": arguments.precision,
        "started_from": None,
        "folds": FOLDS,
        "held_out": {arguments.precision: {"before": None, "after": stated.figures()}},
        "unseen": {arguments.data[-1].name: Stated(known.scores, unseen.exact(known.texts)).figures()},
    }
    weights_sha256 = hash_weights(resolve_model(arguments.reader))
    replace(fitted, weights_sha256=weights_sha256, fitted_on=record).save(arguments.fit)
    print(f"\nfitted on {len(questions)} questions, in {arguments.fit}: {json.dumps(record['held_out'])}")
    print(f"unseen: {json.dumps(record['unseen'])}")
    for name, sample in samples.items():
        found = calibrated(sample, fitted)
        assert found.none is not None
        said = found.none > 0.5
        print(
            f'{name}: "no answer" said to {said[sample.answerable].mean():.3f} of the answerable questions'
            + (f", {said[~sample.answerable].mean():.3f} of the others" if (~sample.answerable).any() else "")
        )


def print_precisions(arguments: argparse.Namespace, own: Sample, read: Callable[[Path, int, str], Sample]) -> None:
    """Print the calibration error where the reader computes otherwise than where it was fitted."""
    print("\n| precision | questions | ECE | ECE of perfect probabilities |\n| --- | --- | --- | --- |")
    for precision in arguments.precisions:
        sample = read(arguments.data[0], arguments.precision_questions, precision)
        asked = {reading.question.id for reading in sample.readings}
        seen = [q for q, reading in zip(own.labelled, own.readings, strict=True) if reading.question.id not in asked]
        found = calibrated(sample, fit_calibration(seen))
        error = expected_calibration_error(found.scores, sample.exact(found.texts))
        print(f"| {precision} | {len(sample)} | {error:.3f} | {error_of_perfect(found.scores)[0]:.3f} |")


def plot(file: Path, samples: dict[str, Sample], first: str, answers: Answers) -> None:
    """Draw stated against true probability."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "lodestone"
    figure, axes = plt.subplots(figsize=(4.6, 4.2))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    whole = fit_calibration(samples[first].labelled)
    curves = {f"{first}, the other half": answers}
    curves |= {f"{name}, unseen domain": calibrated(samples[name], whole) for name in samples if name != first}
    for (label, found), sample in zip(curves.items(), samples.values(), strict=True):
        bins = reliability_curve(found.scores, sample.exact(found.texts), 10)
        axes.plot([each.stated for each in bins], [each.right for each in bins], marker="o", markersize=4, label=label)
    axes.set(xlabel="stated probability", ylabel="right to the word", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def _adapted_row(name: str, first: str, sample: Sample, start: Calibration, labels: int) -> str:
    drawn = [adapted(sample, start, labels, draw) for draw in range(DRAWS)]
    errors = [expected_calibration_error(p, right) for p, right in drawn]
    floor = np.mean([error_of_perfect(p, 20)[0] for p, _ in drawn])
    right, stated = np.mean([right.mean() for _, right in drawn]), np.mean([p.mean() for p, _ in drawn])
    ranked = np.mean([auroc(p, right) or 0.5 for p, right in drawn])
    return (
        f"| {name} | {first}, then {labels} of its own, {DRAWS} draws | {right:.3f} | {stated:.3f} | {ranked:.3f} | "
        f"{np.mean(errors):.3f} ± {np.std(errors):.3f} | {floor:.3f} |"
    )


def _domain_row(name: str, fitted_on: str, sample: Sample, found: Answers) -> str:
    right = sample.exact(found.texts)
    cells = (right.mean(), found.scores.mean(), auroc(found.scores, right))
    error = expected_calibration_error(found.scores, right)
    numbers = " | ".join(_number(cell) for cell in cells)
    return f"| {name} | {fitted_on} | {numbers} | {error:.3f} | {error_of_perfect(found.scores)[0]:.3f} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
