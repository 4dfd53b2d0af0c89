"""Presets: networks by name, and whose weights they have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


@dataclass(frozen=True)
class Preset:
    """A network by name.

    Args:
        name: what `from_pretrained` and `--model` take.
        description: one line.
        config: arguments of `IPT`.
        without_weights: where the folder `ipt_tf/weights/<name>` does not exist, why, and what can be done.
    """

    name: str
    description: str
    config: dict[str, Any]
    without_weights: str = ""

    @property
    def folder(self) -> Path:
        """Folder of the weights that ship with the package.

        Raises:
            ValueError: none ship.
        """
        folder = WEIGHTS / self.name
        if not folder.is_dir():
            raise ValueError(f"no weights of {self.name} ship with this package: {self.without_weights}")
        return folder


PRESETS = (
    Preset(
        "ipt_tiny",
        "small enough to ship with the package",
        {"num_features": 16, "patch_dim": 3, "num_heads": 4, "num_layers": 4},
        "this checkout has none yet; `ipt train` makes them",
    ),
    Preset(
        "ipt_small",
        "between the two others",
        {"num_features": 32, "patch_dim": 3, "num_heads": 6, "num_layers": 4},
        "nobody has trained it yet; `ipt train --preset ipt_small` does",
    ),
    Preset(
        "ipt_base",
        "the paper's network, 118.9 M parameters with six tasks",
        {"num_features": 64, "patch_dim": 3, "num_heads": 12, "num_layers": 12},
        "they are its authors'. Get a file such as IPT_pretrain.pt from the link in the readme of"
        ' https://github.com/huawei-noah/Pretrained-IPT and load it: IPT.from_pretrained("IPT_pretrain.pt")',
    ),
)

NAMES = tuple(preset.name for preset in PRESETS)


def find(name: str) -> Preset:
    """Returns the preset of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise ValueError(f"unknown preset {name!r}; there are {', '.join(NAMES)}")
