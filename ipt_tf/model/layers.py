"""The building blocks of the network, in the order in which a photograph meets them.

Tokens are (B, N, E): N patches in row-major order, E = num_features * patch_dim^2 values each,
channel-major inside a token (c, kh, kw) as in the official weights. `start` names the initial weights: see
`ipt_tf.model.starts`.
"""

import math

import keras
from keras import ops

from ipt_tf.model import fused, starts

LAYER_NORM_EPSILON = 1e-5


def _linear(inputs: int, units: int, start: str, ends_branch: bool = False, **kwargs) -> keras.layers.Dense:
    return keras.layers.Dense(units, **starts.projection(inputs, start, ends_branch), **kwargs)


def _conv(inputs: int, filters: int, size: int, start: str, ends_branch: bool = False, **kwargs):
    initializers = {**starts.projection(inputs * size * size, start, ends_branch), **kwargs}
    return keras.layers.Conv2D(filters, size, padding="same", **initializers)


def _on_rows(tokens, linear):
    """Applies a linear map to tokens (B, N, E) as to one matrix (B N, E), which backends fuse with what follows."""
    _, count, dim = tokens.shape
    rows = linear(ops.reshape(tokens, (-1, dim)))
    return ops.reshape(rows, (-1, count, rows.shape[-1]))


class Patches(keras.layers.Layer):
    """Cuts features into patches: (B, H, W, C) -> (B, N, C * patch_dim^2), channel-major tokens.

    Args:
        patch_dim: side of a patch in pixels; H and W are multiples of it.
    """

    def __init__(self, patch_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.patch_dim = patch_dim

    def call(self, features):
        _, height, width, channels = features.shape
        p, rows, columns = self.patch_dim, height // self.patch_dim, width // self.patch_dim
        x = ops.reshape(features, (-1, rows, p, columns, p, channels))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
        return ops.reshape(x, (-1, rows * columns, channels * p * p))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        p = self.patch_dim
        return (batch, (height // p) * (width // p), channels * p * p)

    def get_config(self):
        return {**super().get_config(), "patch_dim": self.patch_dim}


class Unpatches(keras.layers.Layer):
    """The inverse of `Patches` for square features: (B, N, C * patch_dim^2) -> (B, H, H, C).

    Args:
        patch_dim: side of a patch in pixels.
    """

    def __init__(self, patch_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.patch_dim = patch_dim

    def call(self, tokens):
        _, count, dim = tokens.shape
        p, side = self.patch_dim, math.isqrt(count)
        x = ops.reshape(tokens, (-1, side, side, dim // (p * p), p, p))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (-1, side * p, side * p, dim // (p * p)))

    def compute_output_shape(self, input_shape):
        batch, count, dim = input_shape
        p, side = self.patch_dim, math.isqrt(count)
        return (batch, side * p, side * p, dim // (p * p))

    def get_config(self):
        return {**super().get_config(), "patch_dim": self.patch_dim}


class Attention(keras.layers.Layer):
    """Multi-head attention, softmax(q k^T / sqrt(d)) v, without biases.

    The three input projections live in one weight (E, 3E), columns [q; k; v], as in the official
    checkpoint, so that inputs which are the same tensor are projected by one product.

    Args:
        num_heads: number of heads; divides E.
        dropout: rate on the attention weights.
        output_bias: some PyTorch versions gave the output projection a bias; needed for such checkpoints.
        start: `"identity"` or `"random"`.
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        output_bias: bool = False,
        start: str = "identity",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.output_bias = output_bias
        self.start = start
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, query_shape, key_shape=None, value_shape=None):
        dim = query_shape[-1]
        inner = starts.projection(dim, self.start)["kernel_initializer"]
        outer = starts.projection(dim, self.start, ends_branch=True)["kernel_initializer"]
        self.input_kernel = self.add_weight(name="input_kernel", shape=(dim, 3 * dim), initializer=inner)
        self.output_kernel = self.add_weight(name="output_kernel", shape=(dim, dim), initializer=outer)
        if self.output_bias:
            self.output_bias_weight = self.add_weight(name="output_bias", shape=(dim,), initializer="zeros")

    def call(self, query, key, value, training=None, return_attention_scores=False):
        """(B, N, E) each -> (B, N, E); and the attention (B, h, N, N) of each query on each key, if asked for."""
        q, k, v = self._project(query, key, value)
        if not return_attention_scores and not self.dropout and fused.suits(q):
            return self._output(fused.attention(q, k, v))
        scores = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))))
        weights = self._dropout(scores, training=training)
        x = self._output(ops.matmul(weights, v))
        return (x, scores) if return_attention_scores else x

    def _output(self, x):
        """Projects what the heads found, (B, h, N, d), to tokens (B, N, E)."""
        x = _on_rows(self._merge_heads(x), lambda rows: ops.matmul(rows, self.output_kernel))
        return x + self.output_bias_weight if self.output_bias else x

    def _project(self, query, key, value):
        """Returns q / sqrt(d), k and v, (B, h, N, d) each."""
        if query is key and key is value:
            return self._heads(query, 0, 3)
        if query is key:
            return *self._heads(query, 0, 2), *self._heads(value, 2, 3)
        if key is value:
            return *self._heads(query, 0, 1), *self._heads(key, 1, 3)
        return *self._heads(query, 0, 1), *self._heads(key, 1, 2), *self._heads(value, 2, 3)

    def _heads(self, x, first: int, last: int):
        """Projects tokens by parts `first` to `last` of [q; k; v]: so many tensors (B, h, N, d)."""
        _, count, dim = x.shape
        head_dim = dim // self.num_heads
        # The kernel has fewer values than the queries, which it scales.
        scale = ops.cast([head_dim**-0.5] * dim + [1.0] * (2 * dim), self.compute_dtype)
        kernel = (self.input_kernel * scale)[:, first * dim : last * dim]
        y = ops.matmul(ops.reshape(x, (-1, dim)), kernel)
        y = ops.reshape(y, (-1, count, last - first, self.num_heads, head_dim))
        return ops.unstack(ops.transpose(y, (2, 0, 3, 1, 4)))

    def _merge_heads(self, x):
        _, heads, count, dim = x.shape
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, count, heads * dim))

    def compute_output_shape(self, query_shape, key_shape=None, value_shape=None):
        return query_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "output_bias": self.output_bias,
            "start": self.start,
        }


class FeedForward(keras.layers.Layer):
    """Two linear maps with a ReLU between them; the inner width is four times the outer.

    Args:
        dropout: rate after each linear map.
        start: `"identity"` or `"random"`.
    """

    def __init__(self, dropout: float = 0.0, start: str = "identity", **kwargs):
        super().__init__(**kwargs)
        self.dropout = dropout
        self.start = start
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        dim = input_shape[-1]
        self.inner = _linear(dim, 4 * dim, self.start, activation="relu", dtype=self.dtype_policy)
        self.outer = _linear(4 * dim, dim, self.start, ends_branch=True, dtype=self.dtype_policy)
        self.inner.build(input_shape)
        self.outer.build((*input_shape[:-1], 4 * dim))

    def call(self, x, training=None):
        x = self._dropout(_on_rows(x, self.inner), training=training)
        return self._dropout(_on_rows(x, self.outer), training=training)

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout, "start": self.start}


def _results(returned) -> tuple:
    return returned if isinstance(returned, tuple) else (returned,)


class _TransformerLayer(keras.layers.Layer):
    """What encoder and decoder layers share: their arguments, and a residual stream kept in float32.

    Under a mixed precision policy the branches compute in half precision, while the sums they are added
    to, whose values span the whole pixel range, are never rounded.
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        use_norm: bool = True,
        output_bias: bool = False,
        start: str = "identity",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.use_norm = use_norm
        self.output_bias = output_bias
        self.start = start
        self._dropout = keras.layers.Dropout(dropout, dtype=self.variable_dtype)

    def _norm(self, name):
        if not self.use_norm:
            return keras.layers.Identity(name=name, dtype=self.variable_dtype)
        return keras.layers.LayerNormalization(
            epsilon=LAYER_NORM_EPSILON, name=name, dtype=self.variable_dtype
        )

    def _attention(self, name):
        return Attention(
            self.num_heads,
            self.dropout,
            self.output_bias,
            self.start,
            name=name,
            dtype=self.dtype_policy,
        )

    def _add(self, x, branch, training):
        return x + self._dropout(ops.cast(branch, x.dtype), training=training)

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        return {
            **config,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "use_norm": self.use_norm,
            "output_bias": self.output_bias,
            "start": self.start,
        }


class EncoderLayer(_TransformerLayer):
    """One pre-norm encoder layer (equation 1 of the paper).

    y' = MSA(q, k, v) + y with q = k = LN(y) + position, v = LN(y);  returns FFN(LN(y')) + y'.

    Args:
        num_heads: number of attention heads.
        dropout: dropout rate of both branches.
        use_norm: False leaves the layer norms out.
        output_bias: whether the attention's output projection has a bias.
        start: `"identity"` or `"random"`.
    """

    def build(self, input_shape):
        self.norm1 = self._norm("norm1")
        self.self_attention = self._attention("self_attention")
        self.norm2 = self._norm("norm2")
        self.feed_forward = FeedForward(self.dropout, self.start, dtype=self.dtype_policy)
        self.self_attention.build(input_shape)
        for layer in (self.norm1, self.norm2, self.feed_forward):
            layer.build(input_shape)

    def call(self, x, position=None, training=None, return_attention_scores=False):
        """Tokens (B, N, E) -> (B, N, E); and the attention (B, h, N, N), if asked for."""
        h = self.norm1(x)
        q = h if position is None else h + position
        options = {"training": training, "return_attention_scores": return_attention_scores}
        attended, *scores = _results(self.self_attention(q, q, h, **options))
        x = self._add(x, attended, training)
        x = x + ops.cast(self.feed_forward(self.norm2(x), training=training), x.dtype)
        return (x, *scores) if return_attention_scores else x


class DecoderLayer(_TransformerLayer):
    """One pre-norm decoder layer (equation 2 of the paper), steered by the task embedding E.

    z'  = MSA(q, k, v) + z   with q = k = LN(z) + E, v = LN(z);
    z'' = MSA(q, k, v) + z'  with q = LN(z') + E, k = memory + position, v = memory;
    returns FFN(LN(z'')) + z''.

    Args:
        num_heads: number of attention heads.
        dropout: dropout rate of the branches.
        use_norm: False leaves the layer norms out.
        output_bias: whether the attentions' output projections have biases.
        start: `"identity"` or `"random"`.
        norm_memory: True normalises the encoder's output first, as the paper's equation has it; the official
            code does not.
    """

    def __init__(self, *args, norm_memory: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.norm_memory = norm_memory

    def build(self, input_shape, memory_shape=None):
        self.norm1 = self._norm("norm1")
        self.self_attention = self._attention("self_attention")
        self.norm2 = self._norm("norm2")
        self.cross_attention = self._attention("cross_attention")
        self.norm3 = self._norm("norm3")
        self.feed_forward = FeedForward(self.dropout, self.start, dtype=self.dtype_policy)
        self.memory_norm = self._norm("memory_norm") if self.norm_memory else None
        self.self_attention.build(input_shape)
        self.cross_attention.build(input_shape)
        for layer in (self.norm1, self.norm2, self.norm3, self.feed_forward, self.memory_norm):
            if layer is not None:
                layer.build(input_shape)

    def call(self, x, memory, embedding=None, position=None, training=None, return_attention_scores=False):
        """Tokens and the encoder's (B, N, E) -> (B, N, E); and both attentions (B, h, N, N), if asked for."""
        if self.memory_norm is not None:
            memory = self.memory_norm(memory)
        h = self.norm1(x)
        q = h if embedding is None else h + embedding
        options = {"training": training, "return_attention_scores": return_attention_scores}
        attended, *own = _results(self.self_attention(q, q, h, **options))
        x = self._add(x, attended, training)
        h = self.norm2(x)
        q = h if embedding is None else h + embedding
        k = memory if position is None else memory + position
        attended, *across = _results(self.cross_attention(q, k, memory, **options))
        x = self._add(x, attended, training)
        x = x + ops.cast(self.feed_forward(self.norm3(x), training=training), x.dtype)
        return (x, *own, *across) if return_attention_scores else x

    def get_config(self):
        return {**super().get_config(), "norm_memory": self.norm_memory}


class ResBlock(keras.layers.Layer):
    """x + conv5x5(ReLU(conv5x5(x))).

    Args:
        start: `"identity"` or `"random"`.
    """

    def __init__(self, start: str = "identity", **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        channels = input_shape[-1]
        self.conv1 = _conv(channels, channels, 5, self.start, activation="relu", dtype=self.dtype_policy)
        self.conv2 = _conv(channels, channels, 5, self.start, ends_branch=True, dtype=self.dtype_policy)
        self.conv1.build(input_shape)
        self.conv2.build(input_shape)

    def call(self, x):
        return x + self.conv2(self.conv1(x))

    def get_config(self):
        return {**super().get_config(), "start": self.start}


class Head(keras.layers.Layer):
    """A task's head: mean-shifted RGB (B, H, W, 3) -> features (B, H, W, num_features).

    Args:
        num_features: feature channels.
        formulation: `"official"`: a 3x3 convolution and two residual blocks of 5x5 convolutions;
            `"paper"`: three 3x3 convolutions.
        start: `"identity"` (the first three features are RGB) or `"random"`.
    """

    def __init__(self, num_features: int, formulation: str = "official", start: str = "identity", **kwargs):
        super().__init__(**kwargs)
        self.num_features = num_features
        self.formulation = formulation
        self.start = start

    def build(self, input_shape):
        self.stages = [self._conv3x3(input_shape[-1])]
        if self.formulation == "paper":
            self.stages += [self._conv3x3(self.num_features) for _ in range(2)]
        else:
            self.stages += [ResBlock(self.start, dtype=self.dtype_policy) for _ in range(2)]
        for stage in self.stages:
            stage.build(input_shape)
            input_shape = (*input_shape[:-1], self.num_features)

    def _conv3x3(self, inputs):
        kwargs = {"kernel_initializer": starts.RgbThrough()} if self.start == "identity" else {}
        return _conv(inputs, self.num_features, 3, self.start, dtype=self.dtype_policy, **kwargs)

    def call(self, x):
        for stage in self.stages:
            x = stage(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_features)

    def get_config(self):
        return {
            **super().get_config(),
            "num_features": self.num_features,
            "formulation": self.formulation,
            "start": self.start,
        }


class Tail(keras.layers.Layer):
    """A task's tail: features (B, H, W, C) -> mean-shifted RGB (B, scale * H, scale * W, 3).

    Sub-pixel convolutions enlarge the features (powers of two in steps of two), a 3x3 convolution reads RGB.

    Args:
        scale: a power of two, or 3; with 1 there is nothing to enlarge.
        start: `"identity"` (reads the first three features, bilinearly enlarged) or `"random"`.
        gain: brightness of the identity start's RGB against the head's; 0.5 where the long skip doubles it.
    """

    def __init__(self, scale: int, start: str = "identity", gain: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.start = start
        self.gain = gain

    def build(self, input_shape):
        channels = input_shape[-1]
        self.factors = _upsampling_factors(self.scale)
        self.upsamplers = [self._upsampler(channels, factor) for factor in self.factors]
        for upsampler in self.upsamplers:
            upsampler.build(input_shape)
        kwargs = {"kernel_initializer": starts.RgbBack(self.gain)} if self.start == "identity" else {}
        self.to_rgb = _conv(channels, 3, 3, self.start, dtype=self.dtype_policy, **kwargs)
        self.to_rgb.build(input_shape)

    def _upsampler(self, channels, factor):
        kwargs = {"kernel_initializer": starts.Bilinear(factor)} if self.start == "identity" else {}
        return _conv(channels, channels * factor**2, 3, self.start, dtype=self.dtype_policy, **kwargs)

    def call(self, x):
        for upsampler, factor in zip(self.upsamplers, self.factors, strict=True):
            x = pixel_shuffle(upsampler(x), factor)
        return self.to_rgb(x)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height * self.scale, width * self.scale, 3)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "start": self.start, "gain": self.gain}


def pixel_shuffle(x, factor: int):
    """(B, H, W, C r^2) -> (B, rH, rW, C) with input channel c r^2 + i r + j at offset (i, j): PyTorch's order."""
    _, height, width, channels = x.shape
    channels //= factor**2
    x = ops.reshape(x, (-1, height, width, channels, factor, factor))
    x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
    return ops.reshape(x, (-1, height * factor, width * factor, channels))


def _upsampling_factors(scale: int) -> list[int]:
    if scale == 3:
        return [3]
    if scale & (scale - 1):
        raise ValueError(f"a tail enlarges by 3 or by a power of two, not by {scale}")
    return [2] * (scale.bit_length() - 1)
