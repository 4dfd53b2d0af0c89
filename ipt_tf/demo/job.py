"""One restoration of the page, from the uploaded file to the PNG that comes back."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ipt_tf import images
from ipt_tf.demo import trial
from ipt_tf.evaluation import metrics
from ipt_tf.images import ImageError, Photograph
from ipt_tf.model.ipt import IPT
from ipt_tf.restoration import tiling
from ipt_tf.restoration.files import restore_photograph
from ipt_tf.restoration.restore import in_255
from ipt_tf.tasks import Task

_OVERLAP = 10
_TILES_AT_A_TIME = 8
"""Few, so that progress is seen, and Cancel heard, often; with them a core is as busy as with more."""


class TooLargeError(ImageError):
    """A picture larger than this page restores; the message says how large it may be."""


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Args:
        data: its content.
        name: its name, for messages.
    """

    data: bytes
    name: str

    def check(self, most_pixels: int, scale: int = 1) -> tuple[int, int]:
        """Returns the height and width that the file claims, and decodes nothing.

        Args:
            most_pixels: of the result.
            scale: of the task that is asked for.

        Raises:
            ImageError: it is no picture of a kind that is read.
            TooLargeError: the result would have too many pixels.
        """
        if not self.data:
            raise ImageError(f"{self.name} is empty (0 bytes).")
        try:
            height, width = images.claimed_size(self.data)
        except ImageError as error:
            raise ImageError(f"{self.name} {error}.") from None
        if (pixels := height * width * scale**2) > most_pixels:
            result = "" if scale == 1 else f", and enlarged x{scale} would have {_mega(pixels)}"
            raise TooLargeError(
                f"{self.name} has {_mega(height * width)} megapixels ({width} x {height}){result}. This page makes at"
                f" most {_mega(most_pixels)}: make the picture smaller first, or start the page again with"
                f" --max-megapixels {math.ceil(pixels / 1e6)}."
            )
        return height, width


def _mega(pixels: int) -> str:
    return f"{pixels / 1e6:.3g}"


Send = Callable[..., object]
"""Called with what a message says, by name, and with `body`, bytes that go with it; raises to end the job."""


def run(upload: Upload, task: Task, degrade: bool, model: IPT, send: Send) -> None:
    """Restores an upload. The messages are, in this order:

        tiles=[rows, columns], width, height, scores, body    the input as PNG, in the size of the result
        done, total                                           tiles, after every few
        scores, body                                          the result as PNG

    `scores` is {"y", "rgb"}, PSNR in dB, where None stands for infinity; it is None where nothing was degraded.

    Args:
        upload: a picture.
        task: one of the model's.
        degrade: whether the picture is clean, and to be degraded first; it loses alpha and 16 bits then.
        model: what restores.
        send: takes the messages.

    Raises:
        ValueError: the picture is damaged, or too small to be degraded.
    """
    photograph, clean = images.decode(upload.data, upload.name), None
    if degrade:
        pixels, clean = task.pair(_as_8_bits(photograph.pixels))
        photograph = Photograph(pixels, icc=photograph.icc)
    before = trial.enlarge(photograph, task.scale)
    height, width = before.pixels.shape[:2]
    send(
        tiles=_grid(photograph, model.patch_size),
        width=width,
        height=height,
        scores=_scores(before, clean, task),
        body=images.png(before),
    )
    del before
    restored = restore_photograph(
        photograph,
        model.network(task.name),
        task.scale,
        tile=model.patch_size,
        overlap=_OVERLAP,
        threads=model.threads,
        batch_size=_TILES_AT_A_TIME,
        progress=lambda done, total: send(done=done, total=total),
    )
    send(scores=_scores(restored, clean, task), body=images.png(restored))


def _as_8_bits(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.dtype == np.uint8 else metrics.quantize(in_255(pixels)).astype(np.uint8)


def _grid(photograph: Photograph, tile: int) -> list[int]:
    return [len(tiling.starts(length, tile, _OVERLAP)) for length in photograph.pixels.shape[:2]]


def _scores(photograph: Photograph, clean: np.ndarray | None, task: Task) -> dict[str, float | None] | None:
    if clean is None:
        return None
    scores = trial.scores(photograph.pixels, clean, task)._asdict()
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
