"""Noise as cameras leave it in the photographs that they write."""

import math

from keras import ops

from ipt_tf.degradations.jpeg_in_graph import JPEG_BLOCK, compress
from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Tensor

_UNTOUCHED = 0.07  # share of the pictures without noise
_RAW = 0.45  # of the others: from a sensor; the rest has noise of a drawn shape
_BLOTCHED = 0.35  # with blotches of colour on top
_AS_JPEG = 0.85  # stored as JPEG

_STRONGEST = 30.0  # standard deviation in grey levels
_REACH = 5  # pixels to which a camera's smoothing and sharpening reach
_BLOTCH_REACH = 10
_MARGIN = _REACH + 1  # and one more for demosaicing


def camera_noise() -> Degradation:
    """Returns noise as it is in the JPEG files of cameras and telephones, not as it leaves a sensor.

    Such noise is coarse, related between the colours and seldom strong. Each picture of a batch is one of

    - noise of a sensor (42 %): the photograph goes back to linear light through a tone curve, gamma, colours and white
      balance. Noise of photons and of reading, as at ISO 100 to 12800, comes on the pixels of a Bayer pattern, which
      are demosaiced; then the light goes forward again (Brooks et al., "Unprocessing Images for Learned Raw
      Denoising", 2019; Guo et al., "CBDNet", 2019). Demosaicing is linear, so the noise is demosaiced alone and what is
      left in the result is the difference that it made: the photograph keeps its own sharpness, and a network does
      not learn to sharpen.
    - noise of a drawn strength (51 %): 1 to 30 grey levels, mostly 2 to 12, the same everywhere or more in light or
      in shadow, partly common to the three colours.
    - no noise (7 %), so that clean photographs stay as they are.

    Then the camera smooths it, colour on its own and often more, by a random mixture of narrow and wide Gaussians (so
    does enlarging or reducing), or sharpens it; on a third there are blotches of colour. It is clipped and, in 85 %,
    saved as JPEG of quality 60 to 98, mostly from 70, whose blocks begin anywhere.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32, whole numbers 0..255. H and W are known before
        it runs; B need not be.

    Raises:
        ValueError: by the function, in a graph where height or width are unknown.

    Example:
        >>> degrade = camera_noise()
        >>> noisy = degrade(clean, np.random.default_rng(0))
    """

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        clean = ops.cast(clean, "float32")
        batch, (height, width) = ops.shape(clean)[0], clean.shape[1:3]
        if height is None or width is None:
            raise ValueError(f"camera_noise: height and width have to be known, not {clean.shape}")
        numbers = _Numbers(rng, batch)
        # Noise comes in from outside of the picture too, where its border goes on.
        surround = _with_border(clean, _MARGIN)
        white = _normal(rng, (batch, height + 2 * _MARGIN, width + 2 * _MARGIN, 4))
        is_raw = numbers.happens(_RAW)
        noise = ops.where(
            is_raw, _sensor_noise(surround, white, numbers), _drawn_noise(surround, white, numbers)
        )
        noise = _processed(noise, is_raw, numbers)
        noise = _limited(noise) + _blotches(rng, (batch, height, width), numbers)
        noise = ops.where(numbers.happens(_UNTOUCHED), 0.0, noise)
        noisy = ops.round(ops.clip(clean + noise, 0.0, 255.0))
        return _stored(noisy, numbers)

    return degrade


class _Numbers:
    """Random numbers of which each picture needs one: out of a single draw, because many small ones take long.

    Args:
        rng: what the draw is from.
        batch: number of pictures.
    """

    _count = 48  # at least as many as are asked for

    def __init__(self, rng: RandomNumbers, batch: Tensor):
        drawn = ops.cast(rng.random((batch, 1, 1, self._count)), "float32")
        self._drawn = ops.minimum(drawn, 1 - 2.0**-24)  # float32 may have rounded up to 1
        self._used = 0

    def _next(self, n: int) -> Tensor:
        self._used += n
        return self._drawn[..., self._used - n : self._used]

    def uniform(self, low: float, high: float, n: int = 1) -> Tensor:
        """Returns (B, 1, 1, n) numbers from [low, high)."""
        return low + (high - low) * self._next(n)

    def log_uniform(self, low: float, high: float, n: int = 1) -> Tensor:
        """Returns (B, 1, 1, n) numbers from [low, high), uniform in the logarithm."""
        return ops.exp(self.uniform(math.log(low), math.log(high), n))

    def happens(self, share: float) -> Tensor:
        """Returns (B, 1, 1, 1) booleans, true for this share of the pictures."""
        return self._next(1) < share


def _normal(rng: RandomNumbers, shape: tuple) -> Tensor:
    return ops.cast(rng.standard_normal(shape), "float32")


def _with_border(images: Tensor, margin: int) -> Tensor:
    """Continues images (B, H, W, C) by the pixels of their border."""
    for axis in (1, 2):
        length = images.shape[axis]
        places = [min(max(i, 0), length - 1) for i in range(-margin, length + margin)]
        images = ops.take(images, places, axis=axis)
    return images


def _inner(images: Tensor, margin: int) -> Tensor:
    """Leaves out a border."""
    return images[:, margin : images.shape[1] - margin, margin : images.shape[2] - margin]


def _drawn_noise(clean: Tensor, white: Tensor, numbers: _Numbers) -> Tensor:
    """Returns noise of a drawn strength, in grey levels.

    Args:
        clean: (B, H, W, 3).
        white: (B, H, W, 4), noise of variance 1: the first channel is common to the colours.
        numbers: to draw from.

    Returns:
        (B, H - 2, W - 2, 3).
    """
    # The mean of two: strengths in the middle are more frequent.
    strength = ops.sqrt(numbers.log_uniform(1, _STRONGEST) * numbers.log_uniform(1, _STRONGEST))
    colours = numbers.log_uniform(0.75, 1.33, 3)
    common = numbers.uniform(0, 0.8)
    mixed = ops.sqrt(common) * white[..., :1] + ops.sqrt(1 - common) * white[..., 1:]
    # Variance grows with brightness, or falls; at mid grey it is as drawn.
    slope = ops.where(numbers.happens(0.3), 0.0, numbers.uniform(-0.5, 0.97))
    by_level = ops.sqrt(1 + slope * (clean / 127.5 - 1))
    return _inner(strength * colours * by_level * mixed, 1)


def _sensor_noise(clean: Tensor, white: Tensor, numbers: _Numbers) -> Tensor:
    """Returns the difference that noise on the pixels of a sensor makes to a developed photograph, in grey levels.

    Args:
        clean: (B, H, W, 3).
        white: (B, H, W, ..), noise of variance 1, of which one channel is used: a pixel of a sensor sees one colour.
        numbers: to draw from.

    Returns:
        (B, H - 2, W - 2, 3).
    """
    has_tone_curve = numbers.happens(0.5)
    saturation = numbers.uniform(0, 0.3)
    gains = _gains(numbers)
    light = _undeveloped(clean / 255, has_tone_curve, saturation)
    # The variances, where 1 is white: ISO 100 of a large sensor to ISO 12800 of a small one.
    shot = numbers.log_uniform(5e-5, 0.012)
    read = ops.exp(2.18 * ops.log(shot) + 1.2 + numbers.uniform(-0.5, 0.5))
    deviation = ops.sqrt(gains * (shot * light + gains * read))
    pattern = _bayer(clean.shape[1], clean.shape[2], numbers)
    noise = _demosaiced(deviation * white[..., :1], pattern, guided=numbers.uniform(0, 1))
    light = _inner(light, 1)
    # Undeveloped and developed again, the clean photograph is itself.
    return 255 * _developed(light + noise, has_tone_curve, saturation) - _inner(clean, 1)


def _gains(numbers: _Numbers) -> Tensor:
    """Returns white balance and exposure: what red, green and blue are multiplied by (B, 1, 1, 3)."""
    red_and_blue = numbers.uniform(1.2, 2.6, 2)
    exposure = numbers.log_uniform(0.8, 2)
    return exposure * ops.concatenate(
        [red_and_blue[..., :1], ops.ones_like(exposure), red_and_blue[..., 1:]], axis=-1
    )


def _undeveloped(images: Tensor, has_tone_curve: Tensor, saturation: Tensor) -> Tensor:
    """The inverse of `_developed`, for images 0..1."""
    toneless = 0.5 - ops.sin(ops.arcsin(ops.clip(1 - 2 * images, -1.0, 1.0)) / 3)
    images = ops.where(has_tone_curve, toneless, images)
    linear = ops.where(images <= 0.04045, images / 12.92, ((ops.relu(images) + 0.055) / 1.055) ** 2.4)
    mean = ops.mean(linear, axis=-1, keepdims=True)
    return (linear + 3 * saturation * mean) / (1 + 3 * saturation)


def _developed(light: Tensor, has_tone_curve: Tensor, saturation: Tensor) -> Tensor:
    """Returns what a camera makes of balanced linear light: colours, the gamma of sRGB and perhaps a tone curve.

    Args:
        light: (B, H, W, 3).
        has_tone_curve: (B, 1, 1, 1), whether there is more contrast in the middle: 3 x^2 - 2 x^3.
        saturation: (B, 1, 1, 1), by how much colours are moved away from grey: the matrix from the sensor's colours.
    """
    mean = ops.mean(light, axis=-1, keepdims=True)
    light = ops.clip((1 + 3 * saturation) * light - 3 * saturation * mean, 0.0, 1.0)
    bright = 1.055 * ops.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    images = ops.where(light <= 0.0031308, 12.92 * light, bright)
    return ops.where(has_tone_curve, images * images * (3 - 2 * images), images)


def _bayer(height: int, width: int, numbers: _Numbers) -> Tensor:
    """Returns which colour the pixels of a sensor see (B, H, W, 3), 1 or 0; the pattern begins anywhere."""
    start = ops.floor(numbers.uniform(0, 2, 2))
    odd_row = (ops.reshape(ops.arange(height, dtype="float32"), (1, height, 1, 1)) + start[..., :1]) % 2
    odd_column = (ops.reshape(ops.arange(width, dtype="float32"), (1, 1, width, 1)) + start[..., 1:]) % 2
    red, blue = (1 - odd_row) * (1 - odd_column), odd_row * odd_column
    return ops.concatenate([red, 1 - red - blue, blue], axis=-1)


def _demosaiced(noise: Tensor, pattern: Tensor, guided: Tensor) -> Tensor:
    """Fills the gaps between the pixels of each colour, from (B, H, W, 3) to (B, H - 2, W - 2, 3).

    Args:
        noise: of all pixels; those of which the sensor sees another colour do not count.
        pattern: (B, H, W, 3), 1 where it sees the colour.
        guided: (B, 1, 1, 1), how far red and blue follow green in detail: 0 is bilinear, 1 fills the differences of
            the colours, as most cameras do.
    """
    seen = _filled(noise * pattern)
    green = seen[..., 1:2]
    # What green is at the pixels of red and blue has to be filled first, and needs no second margin there.
    at_sites = _filled(_with_border(green, 1) * pattern)
    follows = ops.convert_to_tensor([1.0, 0.0, 1.0]) * guided
    return seen + follows * (green - at_sites)


def _filled(sparse: Tensor) -> Tensor:
    """Bilinear interpolation of red, green and blue, which are 0 where the sensor did not see them."""
    beside = ops.convert_to_tensor([0.5, 0.25, 0.5])
    diagonal = ops.convert_to_tensor([0.25, 0.0, 0.25])
    height, width = sparse.shape[1] - 2, sparse.shape[2] - 2

    def moved(down: int, right: int) -> Tensor:
        return sparse[:, down : down + height, right : right + width]

    neighbours = moved(0, 1) + moved(1, 0) + moved(1, 2) + moved(2, 1)
    corners = moved(0, 0) + moved(0, 2) + moved(2, 0) + moved(2, 2)
    return moved(1, 1) + beside * neighbours + diagonal * corners


def _processed(noise: Tensor, is_raw: Tensor, numbers: _Numbers) -> Tensor:
    """Smooths or sharpens noise, brightness and colour each in its own way, and takes `_REACH` off its margin.

    Noise of a drawn strength keeps it; that of a sensor becomes weaker or stronger, as in a camera.
    """
    brightness = ops.mean(noise, axis=-1, keepdims=True)
    colour = ops.where(is_raw, numbers.uniform(0.3, 1), 1.0) * (noise - brightness)
    is_sharpened = ops.logical_and(is_raw, numbers.happens(0.3))
    shares = ops.where(is_sharpened, _unsharp_mask(numbers), _smoothing(numbers))
    brightness = _mixed(brightness, shares, is_raw, numbers)
    return brightness + _mixed(colour, _smoothing(numbers), is_raw, numbers)


def _smoothing(numbers: _Numbers) -> Tensor:
    """Draws the shares (B, 1, 1, 3), of sum 1, of what is as it was, blurred a little and blurred much."""
    # Most often one of the three prevails, and seldom that which is as it was.
    parts = ops.convert_to_tensor([0.5, 1.0, 1.0]) * (numbers.uniform(0, 1, 3) ** 3 + 1e-3)
    return parts / ops.sum(parts, axis=-1, keepdims=True)


def _unsharp_mask(numbers: _Numbers) -> Tensor:
    """Draws such shares that sharpen."""
    amount = numbers.uniform(0, 1)
    return ops.concatenate([1 + amount, ops.zeros_like(amount), -amount], axis=-1)


def _mixed(noise: Tensor, shares: Tensor, is_raw: Tensor, numbers: _Numbers) -> Tensor:
    """Mixes noise (B, H, W, C) with itself, blurred a little and blurred much, by shares (B, 1, 1, 3)."""
    kernels = [_gaussian(numbers.log_uniform(0.4, 1)), _gaussian(numbers.log_uniform(0.9, 2.2))]
    mixed = shares[..., :1] * _inner(noise, _REACH)
    for i, kernel in enumerate(kernels, start=1):
        mixed = mixed + shares[..., i : i + 1] * _blurred(noise, kernel)
    return ops.where(is_raw, mixed, mixed / ops.sqrt(_energy(shares, kernels)))


def _energy(shares: Tensor, kernels: list[list[Tensor]]) -> Tensor:
    """Returns by how much such a mixture changes the variance of white noise (B, 1, 1, 1)."""
    point = [ops.ones_like(kernels[0][0])] + [ops.zeros_like(kernels[0][0])] * _REACH
    lines = ops.concatenate([ops.concatenate(kernel, axis=-1) for kernel in (point, *kernels)], axis=1)
    both_sides = ops.convert_to_tensor([1.0] + [2.0] * _REACH)
    # Separable kernels: their products along a line are squared.
    products = ops.einsum("bixt,bjxt,t->bij", lines, lines, both_sides) ** 2
    return ops.einsum("bxyi,bxyj,bij->bxy", shares, shares, products)[..., None]


def _gaussian(sigma: Tensor, reach: int = _REACH) -> list[Tensor]:
    """Returns the weights of a pixel and of those at 1, 2 .. `reach` pixels from it on a line."""
    weights = [ops.exp(-0.5 * (distance / sigma) ** 2) for distance in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def _blurred(images: Tensor, kernel: list[Tensor]) -> Tensor:
    """Convolves each of (B, H, W, C) images with its own symmetric kernel along both axes, without padding."""
    return _blurred_along(_blurred_along(images, kernel, axis=1), kernel, axis=2)


def _blurred_along(images: Tensor, kernel: list[Tensor], axis: int) -> Tensor:
    reach = len(kernel) - 1
    length = images.shape[axis] - 2 * reach

    def moved(by: int) -> Tensor:
        window = slice(reach + by, reach + by + length)
        return images[:, window] if axis == 1 else images[:, :, window]

    blurred = kernel[0] * moved(0)
    for distance, weight in enumerate(kernel[1:], start=1):
        blurred = blurred + weight * (moved(-distance) + moved(distance))
    return blurred


def _limited(noise: Tensor) -> Tensor:
    """Weakens noise that is stronger over a picture than cameras let through."""
    deviation = ops.sqrt(ops.mean(ops.square(noise), axis=(1, 2, 3), keepdims=True))
    return noise * ops.minimum(1.0, _STRONGEST / (deviation + 1e-3))


def _blotches(rng: RandomNumbers, size: tuple, numbers: _Numbers) -> Tensor:
    """Returns noise in colour alone that is several pixels wide (B, H, W, 3), in grey levels; for many pictures 0."""
    batch, height, width = size
    white = _normal(rng, (batch, height + 2 * _BLOTCH_REACH, width + 2 * _BLOTCH_REACH, 2))
    kernel = _gaussian(numbers.log_uniform(2, 4), _BLOTCH_REACH)
    energy = kernel[0] ** 2 + 2 * sum(weight**2 for weight in kernel[1:])
    strength = ops.where(numbers.happens(_BLOTCHED), numbers.log_uniform(0.5, 5, 2), 0.0)
    chroma = strength * _blurred(white, kernel) / energy
    blue, red = chroma[..., :1], chroma[..., 1:]
    return ops.concatenate([1.402 * red, -0.344 * blue - 0.714 * red, 1.772 * blue], axis=-1)


def _stored(images: Tensor, numbers: _Numbers) -> Tensor:
    """Returns what JPEG leaves of most pictures, and the others as they are."""
    quality = ops.where(numbers.happens(0.12), numbers.uniform(60, 70), numbers.uniform(70, 99))
    corners = numbers.uniform(0, JPEG_BLOCK, 2)
    files = compress(images, _whole(quality)[:, 0], _whole(corners))
    return ops.where(numbers.happens(_AS_JPEG), files, images)


def _whole(numbers: Tensor) -> Tensor:
    """Rounds (B, 1, 1, n) numbers down: (B, n) int32."""
    return ops.cast(numbers[:, 0, 0], "int32")
