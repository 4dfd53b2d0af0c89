"""Gaussian noise."""

from keras import ops

from ipt_tf.degradations.random_numbers import Degradation, RandomNumbers, Range, Tensor, uniform


def gaussian_noise(sigma: float | Range, clamp: bool = True) -> Degradation:
    """Returns additive white Gaussian noise.

    Args:
        sigma: standard deviation in grey levels (of 255), or a range (lowest, highest) from which each image
            of a batch gets its own.
        clamp: clip the noisy image to 0..255, as the paper's evaluation does. It is never rounded.

    Returns:
        Function of (B, H, W, 3) and `rng`, giving (B, H, W, 3) float32.

    Raises:
        ValueError: a negative sigma or a range in the wrong order.

    Example:
        >>> degrade = gaussian_noise(30)
        >>> noisy = degrade(clean, np.random.default_rng(0))
    """
    low, high = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    if not 0 <= low <= high:
        raise ValueError(
            f"gaussian_noise: sigma is a number from 0 or a range (lowest, highest), not {sigma!r}"
        )

    def degrade(clean: Tensor, rng: RandomNumbers) -> Tensor:
        clean = ops.cast(clean, "float32")
        levels = uniform(rng, (ops.shape(clean)[0], 1, 1, 1), low, high)
        noisy = clean + levels * ops.cast(rng.standard_normal(ops.shape(clean)), "float32")
        return ops.clip(noisy, 0.0, 255.0) if clamp else noisy

    return degrade
