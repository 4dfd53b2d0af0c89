"""Exported models run in TensorFlow 2.15, the last that tensorflow-addons has: `make test-old-tensorflow`."""

from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[2] / ".venv-addons" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="`make test-old-tensorflow` makes .venv-addons first")
def test_models_restore_beside_tensorflow_addons(check_as_a_model_server):
    check_as_a_model_server(PYTHON, addons=True)
