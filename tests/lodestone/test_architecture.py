"""The import rule of docs/architecture.md, and what importing must not cost."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lodestone

REPOSITORY = Path(__file__).resolve().parents[2]
# Each package may import from itself and from those further down.
LAYERS = [
    {"lodestone.commands"},
    {"lodestone.serving", "lodestone.training"},
    {"lodestone.indexing", "lodestone.evaluation"},
    {"lodestone.pipelines"},
    {"lodestone.components"},
]
PACKAGES = [package for layer in LAYERS for package in sorted(layer)]
HEAVY = {"torch", "faiss", "transformers", "sentence_transformers", "tantivy", "pandas", "matplotlib", "haystack"}


def folder_of(package: str) -> Path:
    name = package.removeprefix("lodestone.")
    return REPOSITORY / "lodestone" / name if name == "commands" else REPOSITORY / name


def imported_by(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively; imports are absolute"
            modules |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_imports_run_one_way() -> None:
    for level, layer in enumerate(LAYERS):
        allowed = {package for lower in LAYERS[level + 1 :] for package in lower}
        for package in layer:
            for file in folder_of(package).rglob("*.py"):
                for module in imported_by(file):
                    other = next((name for name in PACKAGES if f"{module}.".startswith(f"{name}.")), package)
                    assert other == package or other in allowed, f"{file} imports {module}"


def test_components_import_no_other_package_of_ours() -> None:
    for file in folder_of("lodestone.components").rglob("*.py"):
        ours = {module for module in imported_by(file) if module.startswith("lodestone.")}
        assert all(module.startswith("lodestone.components") for module in ours), file


def test_no_folder_at_the_top_is_importable_without_lodestone() -> None:
    for file in REPOSITORY.rglob("*.py"):
        parts = file.relative_to(REPOSITORY).parts
        if parts[0].startswith(".") or parts[0] in ("build", "dist"):
            continue
        bare = {name.removeprefix("lodestone.") for name in PACKAGES}
        assert not {module for module in imported_by(file) if module.split(".")[0] in bare}, file


@pytest.mark.parametrize("name", lodestone.__all__)
def test_public_names_are_importable_from_lodestone(name: str) -> None:
    assert getattr(lodestone, name) is not None
    assert name in dir(lodestone)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="FaissDocumentStore"):
        lodestone.Reader  # noqa: B018


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_lodestone_loads_no_heavy_library() -> None:
    assert not HEAVY & loaded_after("import lodestone")


def test_the_help_text_loads_no_heavy_library() -> None:
    code = (
        "from typer.testing import CliRunner\nfrom lodestone.commands import app\nCliRunner().invoke(app, ['--help'])"
    )
    assert not HEAVY & loaded_after(code)
