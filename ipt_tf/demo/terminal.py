"""`make demo`: a noisy photograph becomes clean, and one picture shows it."""

import argparse
from pathlib import Path

from PIL import Image

from ipt_tf import samples
from ipt_tf.console import start_keras
from ipt_tf.images import Photograph


def main() -> None:
    """Adds noise to a sample photograph, restores it, prints PSNR and writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="denoise_50", help="(default: denoise_50)")
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the pictures (default: demo)"
    )
    options = parser.parse_args()
    start_keras()
    from ipt_tf.demo import trial
    from ipt_tf.evaluation.figures import side_by_side
    from ipt_tf.model.ipt import IPT

    model = IPT.from_pretrained(task=options.task)
    task = model.task()
    degraded, clean = task.pair(samples.load("chelsea"))
    restored = model.restore(degraded)

    enlarged = trial.enlarge(Photograph(degraded), task.scale).pixels
    panels = {
        f"input {trial.scores(enlarged, clean, task)}": enlarged,
        f"restored {trial.scores(restored, clean, task)}": restored,
        "the clean photograph": clean,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, pixels in (("input", degraded), ("restored", restored), ("compare", side_by_side(panels))):
        path = options.out / f"{task.name}_{name}.png"
        Image.fromarray(pixels).save(path)
        print(path)
    for caption in list(panels)[:2]:
        print(caption)


if __name__ == "__main__":
    main()
