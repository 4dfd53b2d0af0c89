"""A model that needs no training."""

import pytest

from ipt_tf import IPT


@pytest.fixture(scope="session")
def identity():
    """An untrained model, which returns its input, bilinearly enlarged."""
    return IPT(["sr_x2", "derain", "denoise_50"], num_features=4, patch_size=24, num_heads=2, num_layers=1)
