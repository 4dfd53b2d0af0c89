"""What is changed in a block before it is run, so that a test can afford it. Nothing else is.

Each is a pattern and what it becomes. The test demands that every pattern is still met somewhere.
"""

import re

PORTS = ("grpc", "rest", "chief", "worker")
"""Ports that are found free."""

SUBSTITUTIONS = {
    # Length of a run and patches per step: the same code, less often. No validation, which traces every task.
    r"--steps \d+": "--steps 1 --hold-out 0 --batch-size 8",
    r"epochs=\d+": "epochs=1",
    # One SavedModel of eight.
    r"--tasks all": "--tasks denoise_50",
    # A network of one layer, which is traced sooner, whatever the text trains.
    r"--(preset ipt_tiny|preset ipt_base|from ipt_tiny)": "--from one_layer",
    # ImageNet and DIV2K as the datasets that the package's own builders make of small pictures.
    r"--data imagenet/": "--data photographs/",
    r"'tfds:imagenet2012@train\[:20%\]'": "'tfds:ipt_photographs@train[:20%]' --data-dir datasets/",
    r"'tfds:div2k/bicubic_x2#hr'": "'tfds:ipt_photographs#image'",
    r"'tfds:div2k/bicubic_x2#lr,hr' --task sr_x2": "'tfds:ipt_pairs#degraded,clean' --task derain --data-dir datasets/",
    # Ports that are free.
    r"localhost:8500": "localhost:{grpc}",
    r"localhost:5000": "localhost:{chief}",
    r"localhost:5001": "localhost:{worker}",
    r"ipt serve": "ipt serve --port {grpc} --rest-port {rest}",
}


def shrunk(text: str, **ports: int) -> str:
    """Returns the text of a block as it is run."""
    for pattern, replacement in SUBSTITUTIONS.items():
        text = re.sub(pattern, replacement.format(**ports), text)
    return text
