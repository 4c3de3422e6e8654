"""What can be seen without an engine: that the containers' files fit together and fit the project."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lodestone

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "docker"
SCRIPTS = sorted(DOCKER.glob("*.sh"))


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions, each as its words."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def stages() -> dict[str, list[list[str]]]:
    """The instructions of each stage by its name, in their order."""
    found: dict[str, list[list[str]]] = {}
    for words in instructions():
        if words[0] == "FROM":
            found[words[3]] = []
        if found:
            list(found.values())[-1].append(words)
    return found


def arguments() -> dict[str, str]:
    """The defaults of the Dockerfile's build arguments."""
    return dict(words[1].split("=", 1) for words in instructions() if words[0] == "ARG" and "=" in words[1])


def ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps a path out of the build: the last pattern for it, or a folder above it, counts."""
    verdict = False
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.fullmatch(f"{pattern}(/.*)?", path):
                verdict = not line.startswith("!")
    return verdict


def pins(file: str) -> dict[str, str]:
    """The versions in a file of `name==version` lines."""
    lines = [line.split("#")[0].strip() for line in (REPOSITORY / file).read_text(encoding="utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if line]
    assert len({name for name, _ in pairs}) == len(pairs)
    return {canonicalize_name(name): version for name, version in pairs}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_what_the_build_copies_is_there_and_reaches_it() -> None:
    copied = [words for words in instructions() if words[0] == "COPY" and not words[1].startswith("--from")]
    sources = [source for words in copied for source in words[1:-1]]
    assert "." in sources
    assert "docker/requirements.txt" in sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert source == "." or not ignored(source), source


def test_all_that_a_wheel_is_made_of_reaches_the_build() -> None:
    named = [REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "constraints.txt")]
    folders = [path.resolve() for path in (REPOSITORY / "lodestone").iterdir() if path.is_symlink()]
    assert len(folders) >= 4
    files = [path for folder in [*folders, REPOSITORY / "lodestone"] for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    lost = [path for path in [*named, *files] if ignored(path.relative_to(REPOSITORY).as_posix())]
    assert not lost


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        ".lodestone-demo/passages.sqlite",
        "tests/conftest.py",
        "examples/corpus/about/welcome.md",
        "benchmarks/reader.py",
        "docs/docker.md",
        "docker/.env",
        "components/readers/__pycache__/spans.cpython-311.pyc",
        "components/.mypy_cache/x.json",
    ],
)
def test_nothing_else_reaches_it(path: str) -> None:
    assert ignored(path)


def test_every_stage_is_built_from_one_before_it() -> None:
    known = ["${BASE}"]
    for name, steps in stages().items():
        for words in steps:
            sources = [words[1]] if words[0] == "FROM" else []
            sources += [word.removeprefix("--from=") for word in words if word.startswith("--from=")]
            assert set(sources) <= set(known), (name, sources)
        known.append(name)


def test_both_images_run_the_command_as_a_user_that_is_not_root() -> None:
    built = stages()
    assert list(built)[-1] == "cpu", "the last stage is the one that is built when none is named"
    for target in ("cpu", "cuda"):
        assert built[target][0][1] == "runtime"
        assert not [words for words in built[target] if words[0] in {"USER", "ENTRYPOINT", "RUN"}]
    assert ["USER", "1000:0"] in built["runtime"]
    assert ["ENTRYPOINT", '["lodestone"]'] in built["runtime"]


def test_every_package_of_the_images_is_pinned_to_a_version_that_the_project_takes() -> None:
    found = project()
    pinned, torch = pins("docker/requirements.txt"), pins("constraints.txt")
    assert not set(pinned) & set(torch), "a version stands in one place only"
    extras = arguments()["EXTRAS"].split(",")
    wanted = found["dependencies"] + [line for extra in extras for line in found["optional-dependencies"][extra]]
    for requirement in map(Requirement, wanted):
        version = {**pinned, **torch}.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not pinned: docker/check.sh --update-pins"
        assert requirement.specifier.contains(version), (requirement, version)
    nncf = next(Requirement(line) for line in found["optional-dependencies"]["quantize"])
    assert nncf.name == "nncf"
    assert nncf.specifier.contains(arguments()["NNCF"])
    assert re.fullmatch(r"debian:\d+\.\d+-slim", arguments()["BASE"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_can_be_read_and_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_the_script_that_makes_certificates_can_be_read() -> None:
    service = compose()["services"]["certificates"]
    assert service["entrypoint"] == ["bash", "-euc"]
    subprocess.run(["bash", "-n"], input=service["command"][0], text=True, check=True)


def test_images_in_the_compose_file_have_our_version_and_targets() -> None:
    services = compose()["services"]
    for name in ("index", "ask"):
        cpu, gpu = services[name], services[f"{name}-gpu"]
        assert cpu["image"] == f"lodestone:{lodestone.__version__}"
        assert gpu["image"] == f"{cpu['image']}-cuda"
        assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
        for service, target in ((cpu, "cpu"), (gpu, "cuda")):
            assert service["build"]["target"] == target
            assert target in stages()
            assert (DOCKER / service["build"]["context"]).resolve() == REPOSITORY
            assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
        assert gpu["entrypoint"] == cpu["entrypoint"]
        assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
        assert (REPOSITORY / "pipelines" / f"{cpu['entrypoint'][-1]}.yaml").is_file()
    assert re.search(r":8\.19\.\d+$", services["elasticsearch"]["image"])


def test_secrets_in_the_compose_file_come_from_the_environment() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable or "KEY" in variable:
                assert value.startswith(f"${{{variable}:?"), name
        assert "ports" not in service
    subprocess.run(["git", "check-ignore", "--quiet", "docker/.env"], cwd=REPOSITORY, check=True)


def test_volumes_of_the_compose_file_are_there() -> None:
    found = compose()
    sources = {
        re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", mount.removesuffix(":ro").rpartition(":")[0])
        for service in found["services"].values()
        for mount in service["volumes"]
    }
    assert {source for source in sources if "/" not in source} == set(found["volumes"])
    assert {source for source in sources if "/" in source} == {"../examples/corpus"}
    assert (DOCKER / "../examples/corpus").is_dir()


def test_a_password_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    script = tmp_path / "up.sh"
    script.write_bytes((DOCKER / "up.sh").read_bytes())
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text('#!/bin/sh\necho "$PWD $*"\n', encoding="utf-8")
    engine.chmod(0o755)
    environment = {"PATH": f"{engine.parent}{os.pathsep}{os.environ['PATH']}"}
    secret = tmp_path / ".env"
    secret.touch()  # what is left when a disk is full
    passwords = set()
    for _ in range(2):
        done = subprocess.run(
            ["sh", script], env=environment, cwd="/", capture_output=True, text=True, check=True, timeout=30
        )
        assert done.stdout == f"{tmp_path} compose --file compose.yaml up --detach elasticsearch\n"
        passwords.add(secret.read_text(encoding="utf-8"))
    assert len(passwords) == 1
    assert re.fullmatch(r"ELASTIC_PASSWORD=[0-9a-f]{48}\n", passwords.pop())
    assert secret.stat().st_mode & 0o077 == 0
