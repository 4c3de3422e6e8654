"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and tokenizers that lies beside a developer's checkout; a test that needs it is skipped."""
    folder = Path(os.environ.get("LODESTONE_SHARED", REPOSITORY / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip("needs the shared data: set LODESTONE_SHARED to its folder")
    return folder
