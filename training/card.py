"""The model card of a trained reader: what it is, how it was made, how good it is."""

from pathlib import Path
from typing import Any

import yaml

from lodestone import __version__
from lodestone.training.recipe import Recipe

CARD_FILE = "README.md"
RECIPE_FILE = "recipe.yaml"
_FIGURES = {
    "exact": "exact match",
    "f1": "F1",
    "HasAns_exact": "exact match, questions with an answer",
    "HasAns_f1": "F1, questions with an answer",
    "NoAns_exact": 'questions without one, "no answer" said',
    "best_exact": "exact match at the best threshold",
    "best_f1": "F1 at the best threshold",
    "right_auroc": "tells right quotes from wrong ones, AUROC",
    "ece": "calibration error of the best quote's score",
}


def write_card(recipe: Recipe, folder: Path, record: dict[str, Any]) -> None:
    """Write the card, and the recipe with its defaults filled in.

    :param recipe: The recipe.
    :param folder: The reader's folder.
    :param record: What is known of the run.
    """
    described = _portable(recipe)
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
    name = recipe.name if recipe.name is not None else folder.resolve().name
    head = {
        "library_name": "transformers",
        "pipeline_tag": "question-answering",
        "base_model": described["model"],
        "tags": ["extractive-qa", "lodestone"],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {name}\n",
        _what(recipe, record),
        _data(record),
        _figures(recipe, record),
        f"## How it was trained\n\n{_run(record)}\n\n```yaml\n{text}```\n",
    ]
    (folder / CARD_FILE).write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _portable(recipe: Recipe) -> dict[str, Any]:
    """The recipe without the folders of the machine that ran it."""
    described = recipe.to_dict()
    for each in described["data"]["files"]:
        each["file"] = Path(each["file"]).name
    for part in ("evaluation", "calibration"):
        if described[part] is not None:
            described[part]["file"] = Path(described[part]["file"]).name
    for key in ("model", "tokenizer"):
        described[key] = _portable_name(described[key])
    if described["distillation"] is not None:
        described["distillation"]["teacher"] = [_portable_name(each) for each in described["distillation"]["teacher"]]
    return described


def _portable_name(model: str | None) -> str | None:
    """The name of a model, without the folders around it where it is one."""
    folder = Path(model).expanduser() if model is not None else None
    return folder.resolve().name if folder is not None and folder.is_dir() else model


def _what(recipe: Recipe, record: dict[str, Any]) -> str:
    windows = recipe.windows
    scores = (
        "Its calibration (`calibration.json`) turns margins into probabilities."
        if "calibration" in record
        else "It has no calibration: scores are logit margins, no probabilities."
    )
    if recipe.distillation is not None and recipe.distillation.kind == "intermediate":
        return (
            "An encoder that learned the layers of another model. It answers no questions: its head is untrained; take "
            "it as the base model of a reader.\n"
        )
    return (
        f"An extractive reader: it quotes the answer to a question from a passage. {scores}\n\n"
        f"```python\nfrom lodestone import ExtractiveReader\n\n"
        f'reader = ExtractiveReader("FOLDER OR HUB NAME", max_seq_length={windows.max_seq_length}, '
        f"stride={windows.stride}, max_query_length={windows.max_query_length})\n```\n"
    )


def _data(record: dict[str, Any]) -> str:
    rows = [f"| {each['file']} | {each['weight']:g} | `{each['sha256'][:16]}` |" for each in record["data"]]
    table = "\n".join(["| file | weight | SHA-256 |", "| --- | --- | --- |", *rows])
    return (
        f"## Data\n\n{record['questions']:,} questions, {record['unanswerable']:,} of them without an answer "
        f"({record['negatives']:,} with a retrieved paragraph), in {record['windows']:,} windows; "
        f"{record['left_out']:,} questions were left out.\n\n{table}\n"
    )


def _figures(recipe: Recipe, record: dict[str, Any]) -> str:
    parts = []
    if "evaluation" in record:
        measured = record["evaluation"]
        rows = [
            f"| {label} | {measured['metrics'][name]:.2f} |"
            for name, label in _FIGURES.items()
            if name in measured["metrics"]
        ]
        fitted = record.get("calibration", {}).get("data", [{}])[0].get("sha256")
        remark = " Its probabilities were fitted to this file, too." if fitted == measured["data"]["sha256"] else ""
        count = f"{measured['data']['questions']:,} questions of {measured['data']['file']}"
        said = "its calibrated probability is above one half" if "calibration" in record else "its margin is above zero"
        rule = f'"No answer" is said where {said}, but in the figures at the best threshold.'
        parts.append("\n".join([f"{count}. {rule}{remark}\n", "| figure | value |", "| --- | --- |", *rows]))
    if recipe.published:
        text = yaml.safe_dump(recipe.published, sort_keys=False, allow_unicode=True, width=120)
        parts.append(f"Published of a model that was made by this recipe, not of this one:\n\n```yaml\n{text}```")
    return "## Figures\n\n" + "\n\n".join(parts) + "\n" if parts else ""


def _run(record: dict[str, Any]) -> str:
    count, averaged = record["processes"], record["averaged"]
    return (
        f"{record['steps']:,} steps, {record['epochs']:g} epochs, on {record['device']}"
        f"{f', the mean of the weights at {averaged:,} of them' if averaged else ''}"
        f"{f' in {count} processes' if count > 1 else ''}; Lodestone {__version__}."
    )
