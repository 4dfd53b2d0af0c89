"""The paper's ablations in miniature: the weight of the contrastive loss, and the amount of data.

    python -m benchmarks.ablations --data PHOTOGRAPHS --out runs/ablations

trains Table 5 (lambda) and Figure 6 (fraction of the data; IPT against a convolutional network of as many parameters,
EDSR's residual blocks between the same heads and tails) on networks and runs so small that they take minutes each, and
writes ablations.json, ablations.md and ablations.png. A run that is there already is not trained again. Scores are
PSNR-RGB on photographs held out of training, mean over the tasks.

The paper's size, which needs many GPUs, is the same with
--preset ipt_base --recipe paper --steps 1000000 --lambdas 0 0.05 0.1 0.2 0.5 --fractions 0.2 0.4 0.6 0.8 1
"""

import argparse
import csv
import io
import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from ipt_tf import IPT, outputs
from ipt_tf.data import Photographs
from ipt_tf.model import presets, starts
from ipt_tf.training import loop, recipes

MINIATURE = {"num_features": 8, "patch_dim": 3, "num_heads": 4, "num_layers": 2}


class ResidualBlocks(keras.layers.Layer):
    """EDSR's body: features (B, P, P, C) -> (B, P, P, C), by blocks of two 3x3 convolutions at a width of its own.

    Args:
        width: features inside.
        blocks: how many.
    """

    def __init__(self, width: int, blocks: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.blocks = width, blocks
        self.rematerialise = False

    def build(self, input_shape):
        channels = input_shape[-1]
        self.widen, self.narrow = (
            self._conv(channels, self.width),
            self._conv(self.width, channels, ends=True),
        )
        self.pairs = []
        for _ in range(self.blocks):
            self.pairs += [self._conv(self.width, self.width), self._conv(self.width, self.width, ends=True)]

    def _conv(self, inputs: int, filters: int, ends: bool = False) -> keras.layers.Conv2D:
        initial = starts.projection(9 * inputs, "identity", ends_branch=ends)
        conv = keras.layers.Conv2D(filters, 3, padding="same", **initial)
        conv.build((None, None, None, inputs))
        return conv

    def call(self, features, embedding=None, training=None):
        x = self.widen(features)
        for first, second in zip(self.pairs[::2], self.pairs[1::2], strict=True):
            x = x + second(ops.relu(first(x)))
        return features + self.narrow(x)

    def unpatch(self, features):
        """Features are no tokens, and stay as they are."""
        return features


class Edsr(IPT):
    """IPT's heads and tails around EDSR's residual blocks, with as many parameters as the transformer body has."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "use_mlp": False})  # without it there are no task embeddings

    def _make_body(self):
        width = 4 * self.num_features
        parameters = count_body(IPT(**{**self.get_config(), "name": None, "use_mlp": True}))
        return ResidualBlocks(width, max(1, round(parameters / (18 * width * width))), name="body")

    def save_pretrained(self, folder, dtype="float32"):
        """Writes the weights as Keras does: the names of IPT's checkpoints do not fit them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_weights(folder / "model.weights.h5")


def count_body(model: IPT) -> int:
    """Returns the number of parameters between heads and tails."""
    return sum(int(np.prod(weight.shape)) for weight in [*model.body.weights, *model.embeddings[0].weights])


def main() -> None:
    options = _options()
    config = presets.find(options.preset).config if options.preset else MINIATURE
    photographs = Photographs.of_folder(options.data, smallest_side=192)

    def score(network: type[IPT], name: str, **changes) -> float:
        recipe = recipes.find(options.recipe, **changes)
        keras.utils.set_random_seed(recipe.seed)
        out = options.out / name
        settings = {"steps": options.steps, "validate_every": options.steps, "held_out": 32}
        loop.train(network(**config, tasks=options.tasks), photographs, recipe, out, **settings)
        with (out / "history.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return float(np.mean([float(last[task]) for task in options.tasks]))

    figures: dict[str, dict[float, float]] = {
        "lambda": {x: score(IPT, f"lambda_{x}", contrastive=x) for x in options.lambdas},
        "IPT": {x: score(IPT, f"ipt_{x}", fraction=x) for x in options.fractions},
        "EDSR": {x: score(Edsr, f"edsr_{x}", fraction=x) for x in options.fractions},
    }
    (options.out / "ablations.json").write_text(json.dumps(figures, indent=1))
    (options.out / "ablations.md").write_text(table(figures))
    plot(figures, options.out / "ablations.png")
    print(table(figures), end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of what is found")
    parser.add_argument("--preset", help="network (default: one of 0.4 M parameters)")
    parser.add_argument("--recipe", default="ours")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--tasks", nargs="+", default=["sr_x2", "denoise_50"])
    parser.add_argument("--lambdas", nargs="+", type=float, default=[0.0, 0.05, 0.1, 0.2, 0.5])
    parser.add_argument("--fractions", nargs="+", type=float, default=[0.02, 0.2, 1.0])
    return parser.parse_args()


def table(figures: dict[str, dict[float, float]]) -> str:
    """Returns the scores as two Markdown tables."""
    lines = ["| lambda | PSNR-RGB |", "|---|---|"]
    lines += [f"| {x:g} | {psnr:.2f} |" for x, psnr in figures["lambda"].items()]
    lines += ["", "| fraction of the photographs | IPT | EDSR |", "|---|---|---|"]
    lines += [
        f"| {100 * x:g} % | {psnr:.2f} | {figures['EDSR'][x]:.2f} |" for x, psnr in figures["IPT"].items()
    ]
    return "\n".join(lines) + "\n"


def plot(figures: dict[str, dict[float, float]], path: Path) -> None:
    """Draws both ablations into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(list(figures["lambda"]), list(figures["lambda"].values()), "o-")
    left.set(xlabel="lambda of the contrastive loss", ylabel="PSNR-RGB (dB)", title="Table 5 in miniature")
    for name in ("IPT", "EDSR"):
        right.plot([100 * x for x in figures[name]], list(figures[name].values()), "o-", label=name)
    right.set(xlabel="photographs used (%)", title="Figure 6 in miniature")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    outputs.write(path, drawn.getvalue())


if __name__ == "__main__":
    main()
