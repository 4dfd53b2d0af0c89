"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REFERENCE = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of benchmark images, photographs and official fixtures beside the checkout."""
    if not REFERENCE.is_dir():
        pytest.skip(f"reference data are not at {REFERENCE}")
    return REFERENCE
