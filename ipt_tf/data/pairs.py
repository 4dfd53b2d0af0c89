"""Pairs of a degraded and a clean picture on disk, as a user who has such pairs keeps them."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ipt_tf import images
from ipt_tf.data.photographs import augment

Pair = tuple[np.ndarray, np.ndarray]


def paired(
    degraded: str | Path,
    clean: str | Path,
    *,
    scale: int = 1,
    patch_size: int = 48,
    batch_size: int = 16,
    crops: int = 16,
    seed: int = 0,
) -> tf.data.Dataset:
    """Returns batches of random crops from pairs of pictures, for `model.for_task(...).fit`.

    A degraded picture belongs to the clean one of the same name (apart from the suffix) in the other folder.

    Args:
        degraded: folder of degraded pictures.
        clean: folder of clean pictures, `scale` times as high and wide.
        scale: of the task.
        patch_size: side of an input crop, pixels.
        batch_size: crops per batch; a last smaller batch is left out.
        crops: crops per pair and epoch.
        seed: of the order, the crops and their flips; every epoch draws anew.

    Returns:
        Dataset of (inputs (B, P, P, 3), targets (B, sP, sP, 3)), float32, 0..255; one pass is one epoch.

    Raises:
        ValueError: a folder is missing, no names match, or sizes do not fit; all that differ are listed.

    Example:
        >>> derain.fit(paired("rainy/", "clean/"), epochs=10)
    """
    pairs = [_read_pair(*pair, scale, patch_size) for pair in _match(Path(degraded), Path(clean))]
    rng = np.random.default_rng(seed)

    def epoch():
        for index in rng.permutation(np.repeat(np.arange(len(pairs)), crops)):
            yield _crop(pairs[index], patch_size, scale, rng)

    side = patch_size * scale
    signature = (tf.TensorSpec((patch_size, patch_size, 3)), tf.TensorSpec((side, side, 3)))
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    batches = len(pairs) * crops // batch_size
    if not batches:
        raise ValueError(f"{len(pairs)} pairs of {crops} crops do not fill one batch of {batch_size}")
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(2)


def _match(degraded: Path, clean: Path) -> list[tuple[Path, Path]]:
    for folder in (degraded, clean):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder of pictures")
    by_name = {path.relative_to(clean).with_suffix(""): path for path in images.find(clean)}
    inputs = {path.relative_to(degraded).with_suffix(""): path for path in images.find(degraded)}
    missing = [str(path) for name, path in inputs.items() if name not in by_name]
    if missing or not inputs:
        raise ValueError(
            f"every picture in {degraded} needs a clean one of the same name in {clean};"
            f" without one: {', '.join(missing[:5]) or 'there are no pictures at all'}"
        )
    return [(path, by_name[name]) for name, path in inputs.items()]


def _read_pair(degraded: Path, clean: Path, scale: int, patch_size: int) -> Pair:
    low, high = images.read(degraded), images.read(clean)
    height, width = low.pixels.shape[:2]
    if high.pixels.shape[:2] != (height * scale, width * scale):
        sizes = [f"{p.pixels.shape[1]} x {p.pixels.shape[0]}" for p in (low, high)]
        raise ValueError(f"{degraded} is {sizes[0]}, {clean} is {sizes[1]}: at scale {scale} that cannot be")
    if min(height, width) < patch_size:
        raise ValueError(f"{degraded} is {width} x {height}; crops need {patch_size} pixels a side")
    return _in_255(low.pixels), _in_255(high.pixels)


def _in_255(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.dtype == np.uint8 else (pixels / 257).astype(np.float32)


def _crop(pair: Pair, patch_size: int, scale: int, rng: np.random.Generator) -> Pair:
    low, high = pair
    top, left = (rng.integers(0, length - patch_size + 1) for length in low.shape[:2])
    way = int(rng.integers(8))

    def patch(image: np.ndarray, s: int) -> np.ndarray:
        y, x, side = top * s, left * s, patch_size * s
        return augment(image[y : y + side, x : x + side], way).astype(np.float32)

    return patch(low, 1), patch(high, scale)
