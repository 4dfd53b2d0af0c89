"""Pictures of any size, from the photograph that ships with the package."""

from pathlib import Path

from PIL import Image

SAMPLE = Path(__file__).resolve().parents[1] / "ipt_tf" / "samples" / "chelsea.png"


def write(path: Path, height: int, width: int) -> Path:
    """Writes the sample, resized, as a file of the path's format, and returns the path."""
    with Image.open(SAMPLE) as sample:
        sample.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path
