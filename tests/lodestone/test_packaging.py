"""What a wheel and an sdist hold, and that the wheel works where it is installed."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = [
    "lodestone/py.typed",
    "lodestone/pipelines/indexing_faiss.yaml",
    "lodestone/pipelines/query_faiss.yaml",
    "lodestone/training/recipes/roberta-base-squad2.yaml",
    "lodestone/components/models/reader_minilm/model.safetensors",
    "lodestone/components/models/reader_minilm/tokenizer.json",
    "lodestone/components/models/reader_minilm/config.json",
    "lodestone/components/models/reader_minilm/calibration.json",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    pytest.importorskip("build", reason="needs the package build, of the extra dev")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(REPOSITORY)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return folder


def test_the_wheel_holds_lodestone_with_its_data_and_nothing_else(built: Path) -> None:
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lodestone"}
    assert set(DATA) <= set(names)
    modules = {path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("components/*/*.py")}
    assert {f"lodestone/{module}" for module in modules} <= set(names)


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert set(DATA) | {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_installed_wheel_answers_outside_the_repository(built: Path, tmp_path: Path) -> None:
    # The environment borrows our libraries, but must not find the repository's own lodestone.
    venv.create(tmp_path / "env", with_pip=False)
    packages = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    libraries = Path(os.path.dirname(pytest.__file__)).parent
    code = (
        "import sys, lodestone; from haystack import Document; from lodestone import ExtractiveReader\n"
        "answer = ExtractiveReader().run('Who built it?', [Document(content='Ida Holm built it.')])['answers'][0]\n"
        "print(lodestone.__file__, answer.data, sep='|')"
    )
    environment = {
        "PYTHONPATH": f"{packages}{os.pathsep}{libraries}",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
    }
    result = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    file, answer = result.stdout.strip().split("|")
    assert Path(file).is_relative_to(packages)
    assert answer == "Ida Holm"
