"""One version of a model: its signatures, which check what they are given before TensorFlow sees it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from ipt_tf import images
from ipt_tf.export.folders import ORIGIN
from ipt_tf.export.pictures import decode
from ipt_tf.serving import batching
from ipt_tf.serving.configs import Batching
from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.pictures import Pictures
from ipt_tf.serving.workers import Caller

DEFAULT_SIGNATURE = "serving_default"

InsteadOfGraph = Callable[[np.ndarray, Caller], np.ndarray]
"""Called with the input of a signature and who waits; returns its output."""

# Not GIF, although TensorFlow decodes it: its frames can be larger than its header says, and all are decoded.
_KINDS = ("PNG", "JPEG", "BMP")

# Decoders take a JPEG whose data end early, and fill it up with grey. A block of 8 x 8 pixels is a bit at least, and
# the component that has most blocks has a fourth of what it could have, at least.
_MOST_JPEG_PIXELS_PER_BYTE = 64 * 8 * 4


@dataclass(frozen=True)
class Servable:
    """A loaded version.

    Args:
        name: of the model.
        version: number.
        signatures: by name.
        definitions: the signatures as the SavedModel states them, for clients that ask.
    """

    name: str
    version: int
    signatures: Mapping[str, "Signature"]
    definitions: Mapping[str, meta_graph_pb2.SignatureDef]

    def signature(self, name: str) -> "Signature":
        """Returns a signature; `""` stands for `serving_default`.

        Raises:
            ServingError: FAILED_PRECONDITION, there is none of this name.
        """
        try:
            return self.signatures[name or DEFAULT_SIGNATURE]
        except KeyError:
            raise ServingError(
                "FAILED_PRECONDITION",
                f"Serving signature key {_quoted(name)} not found; {self.name} has {', '.join(self.signatures)}",
            ) from None


def load(folder: Path, name: str, version: int, settings: Batching, max_pixels: int) -> Servable:
    """Loads a SavedModel.

    Args:
        folder: holds saved_model.pb and variables/.
        name: of the model.
        version: number.
        settings: how tiles are batched.
        max_pixels: most pixels, of the input, in a request.

    Raises:
        Exception: whatever TensorFlow raises on files that are damaged or not all there.
    """
    loaded = tf.saved_model.load(str(folder))
    by_tiles = _by_tiles(folder, loaded)
    signatures = {
        key: Signature(key, function, loaded, settings, max_pixels, by_tiles.get(key))
        for key, function in loaded.signatures.items()
    }
    return Servable(name, version, signatures, _definitions(folder, signatures))


def _by_tiles(folder: Path, loaded) -> dict[str, InsteadOfGraph]:
    """Returns what computes the signatures of whole pictures, by name, if `ipt export` wrote the model."""
    origin = folder / "assets.extra" / ORIGIN
    if not origin.exists():
        return {}
    described = json.loads(origin.read_text())
    pictures = Pictures(loaded.signatures[DEFAULT_SIGNATURE], described["tile"], described["scale"])
    return {"restore": pictures.images, "restore_bytes": pictures.files}


def _definitions(folder: Path, names) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = (each for each in saved.meta_graphs if "serve" in each.meta_info_def.tags)
    return {name: graph.signature_def[name] for name in names}


class Signature:
    """One function of a model, from checked arrays to arrays.

    Args:
        name: of the signature.
        function: of a loaded SavedModel.
        owner: what TensorFlow loaded, whose variables live as long as this.
        settings: how its calls are batched, if they can be.
        max_pixels: most pixels in a request, tiles left out, whose number the batch bounds.
        instead: computes the only output of the only input, in place of the graph.
    """

    def __init__(
        self,
        name: str,
        function,
        owner,
        settings: Batching,
        max_pixels: int,
        instead: InsteadOfGraph | None = None,
    ) -> None:
        self.name = name
        self.inputs: dict[str, tf.TensorSpec] = function.structured_input_signature[1]
        self.outputs: dict[str, tf.TensorSpec] = function.structured_outputs
        self.is_batched = batching.can_be_batched(self.inputs)
        self._owner = owner
        self._max_pixels = max_pixels
        self._max_batch = settings.max_batch_size
        self._run = batching.batched(function, self.inputs, settings) if self.is_batched else function
        self._instead = instead

    def check_names(self, names) -> None:
        """Raises ServingError where the inputs are not those of the signature."""
        if set(names) != set(self.inputs):
            raise ServingError(
                "INVALID_ARGUMENT",
                f"{self.name} takes the inputs {', '.join(self.inputs)}; sent were "
                f"{', '.join(_quoted(name) for name in sorted(names)[:5]) or 'none'}",
            )

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raises ServingError where an output is asked for that the signature lacks."""
        for name in names:
            if name not in self.outputs:
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"output {_quoted(name)} not found; {self.name} has {', '.join(self.outputs)}",
                )

    def check_size(self, name: str, dtype: tf.DType, shape: Sequence[int]) -> None:
        """Raises ServingError where a tensor does not fit, before memory is taken for it.

        Args:
            name: of one of the inputs.
            dtype: of the tensor.
            shape: its sizes, which a request may claim as it likes.
        """
        spec = self.inputs[name]
        if dtype != spec.dtype:
            raise ServingError(
                "INVALID_ARGUMENT", f"{name} is {spec.dtype.name}, not {tf.as_dtype(dtype).name}"
            )
        if any(size < 0 for size in shape) or not spec.shape.is_compatible_with(shape):
            raise ServingError("INVALID_ARGUMENT", f"{name} has shape {spec.shape}, not {_shown(shape)}")
        if 0 in shape:
            raise ServingError("INVALID_ARGUMENT", f"{name} is empty: its shape is {_shown(shape)}")
        if not _is_one_image(spec) and shape[0] > self._max_batch:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"{name} has {shape[0]} rows; at most {self._max_batch} are taken in a request",
            )
        if spec.dtype != tf.string and not self.is_batched and math.prod(shape[:-1]) > self._max_pixels:
            raise ServingError("INVALID_ARGUMENT", f"{name} is {_shown(shape)}; {self._most_pixels()}")

    def look_at(self, inputs: Mapping[str, np.ndarray]) -> int:
        """Checks the values of inputs that `check_names` and `check_size` accepted, and returns their pixels.

        Raises:
            ServingError: INVALID_ARGUMENT for values that are not finite and for pictures that are too large, of a
                kind not known, or damaged.
        """
        pixels = 0
        for name, value in inputs.items():
            if self.inputs[name].dtype == tf.string:
                pixels += self._look_at_pictures(name, value)
            elif not np.isfinite(value).all():
                raise ServingError("INVALID_ARGUMENT", f"{name} holds NaN or infinity")
            else:
                pixels += math.prod(value.shape[:-1])
        return pixels

    def run(self, inputs: Mapping[str, np.ndarray], caller: Caller) -> dict[str, np.ndarray]:
        """Computes the outputs of inputs that `look_at` accepted.

        Raises:
            ServingError: by the code of TensorFlow's own error; CANCELLED, the caller is gone.
        """
        try:
            if self._instead:
                (value,), (name,) = inputs.values(), self.outputs
                return {name: self._instead(value, caller)}
            outputs = self._run(**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in outputs.items()}
        except tf.errors.OpError as error:
            raise ServingError(_CODES.get(error.error_code, "INTERNAL"), _reason(error)) from None

    def _look_at_pictures(self, name: str, files: np.ndarray) -> int:
        """Decodes files, after a look at the sizes that they claim: a few bytes can stand for what fills the memory."""
        pixels = 0
        for index, data in enumerate(files):
            try:
                height, width = images.claimed_size(data, _KINDS)
            except images.ImageError as error:
                raise ServingError("INVALID_ARGUMENT", f"{name}[{index}] {error}") from None
            if data.startswith(b"\xff\xd8") and height * width > _MOST_JPEG_PIXELS_PER_BYTE * len(data):
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"{name}[{index}] is damaged: {len(data)} bytes cannot hold {height} x {width} pixels",
                )
            pixels += height * width
        if pixels > self._max_pixels:
            raise ServingError("INVALID_ARGUMENT", f"{name} has {pixels} pixels; {self._most_pixels()}")
        for index, data in enumerate(files):
            try:
                decode(data)
            except tf.errors.InvalidArgumentError as error:
                raise ServingError(
                    "INVALID_ARGUMENT", f"{name}[{index}] is damaged: {_reason(error)}"
                ) from None
        return pixels

    def _most_pixels(self) -> str:
        return f"at most {self._max_pixels} pixels are taken in a request: send tiles instead"


def _is_one_image(spec: tf.TensorSpec) -> bool:
    """Whether an input is one image (H, W, 3), without an axis for several, as `restore` of old exports has it."""
    return spec.shape.rank == 3


_CODES = {
    code: name
    for name, code in vars(tf.errors).items()
    if isinstance(code, int) and not isinstance(code, bool) and name.isupper()
}


def _reason(error: tf.errors.OpError) -> str:
    """The sentence of an error, without the places in the graph that TensorFlow lists around it."""
    lines = error.message.partition("[[{{")[0].partition("[Op:")[0].split("\n")
    kept = [line.strip() for line in lines if line.strip()]
    return kept[-1] if kept else type(error).__name__


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}...")


def _shown(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
