"""What every restoration is measured against: bicubic enlargement, the input itself, non-local means."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ipt_tf.tasks import Task


@dataclass(frozen=True)
class Method:
    """A way to restore.

    Args:
        name: as the tables name it.
        restore: function of an input (H, W, 3), RGB, 0..255, and its task to (scale H, scale W, 3).
        suits: whether it can do a task.
    """

    name: str
    restore: Callable[[np.ndarray, Task], np.ndarray]
    suits: Callable[[Task], bool] = lambda task: True


def _enlarge(image: np.ndarray, task: Task) -> np.ndarray:
    height, width = (length * task.scale for length in image.shape[:2])
    planes = np.moveaxis(image.astype(np.float32), -1, 0)  # Pillow resizes colours in 8 bits only
    larger = [Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC) for plane in planes]
    return np.dstack([np.asarray(plane) for plane in larger])


def _non_local_means(image: np.ndarray, task: Task) -> np.ndarray:
    """The setting that scikit-image's own example recommends where the noise is known."""
    from skimage.restoration import denoise_nl_means

    assert task.sigma is not None, "it suits tasks that know their noise"
    return denoise_nl_means(
        image.astype(np.float32),
        patch_size=5,
        patch_distance=6,
        h=0.6 * task.sigma,
        sigma=task.sigma,
        fast_mode=True,
        channel_axis=-1,
    )


BICUBIC = Method("bicubic", _enlarge, lambda task: task.scale > 1)
INPUT = Method("input", lambda image, task: image, lambda task: task.scale == 1)
NON_LOCAL_MEANS = Method("non-local means", _non_local_means, lambda task: task.sigma is not None)


def of(task: Task) -> Method:
    """Returns what a picture shows beside the restored one: the input, enlarged where it is smaller."""
    return BICUBIC if BICUBIC.suits(task) else INPUT


def check_non_local_means() -> None:
    """Raises ValueError where scikit-image, which `NON_LOCAL_MEANS` needs, is not installed."""
    try:
        import skimage.restoration  # noqa: F401
    except ImportError:
        raise ValueError("non-local means needs scikit-image: pip install 'ipt_tf[evaluation]'") from None
