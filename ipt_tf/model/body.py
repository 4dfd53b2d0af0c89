"""The transformer body that all tasks share: features in, features out."""

import functools

import keras
from keras import ops

from ipt_tf.model import starts
from ipt_tf.model.layers import DecoderLayer, EncoderLayer, FeedForward, Patches, Unpatches


class TaskEmbedding(keras.layers.Layer):
    """The learned query of one task, added inside every decoder layer.

    Args:
        count: rows: one per token in the official network, 1 in the paper's (shared by all tokens).
        dim: width E of a token.
        start: `"identity"` (small values) or `"random"` (standard normal, as in the official code).
    """

    def __init__(self, count: int, dim: int, start: str = "identity", **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.dim = dim
        self.start = start

    def build(self, input_shape=None):
        deviation = 1.0 if self.start == "random" else 0.02
        self.embedding = self.add_weight(
            name="embedding",
            shape=(self.count, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=deviation),
        )

    def get_config(self):
        return {**super().get_config(), "count": self.count, "dim": self.dim, "start": self.start}


class Body(keras.layers.Layer):
    """Patches -> encoder -> decoder(task embedding) -> tokens, which `unpatch` turns into features again.

    The official formulation adds a linear encoding before the encoder and a feed-forward block after the
    decoder, both residual; the paper's has neither, and normalises the decoder's memory.

    Args:
        patch_dim: side of a patch in pixels.
        num_heads: attention heads of every layer.
        num_layers: encoder layers, and as many decoder layers.
        dropout: dropout rate everywhere.
        formulation: `"official"` or `"paper"`.
        use_norm, use_mlp, use_pos: the official options `no_norm`, `no_mlp`, `no_pos`, the right way round.
        pos_every: adds the position to queries and keys in every layer, instead of once to the tokens.
        output_bias: whether attention output projections have biases.
        start: `"identity"` or `"random"`.
    """

    def __init__(
        self,
        patch_dim: int,
        num_heads: int,
        num_layers: int,
        dropout: float = 0.0,
        formulation: str = "official",
        use_norm: bool = True,
        use_mlp: bool = True,
        use_pos: bool = True,
        pos_every: bool = False,
        output_bias: bool = False,
        start: str = "identity",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.patch_dim = patch_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.dropout = dropout
        self.formulation = formulation
        self.use_norm = use_norm
        self.use_mlp = use_mlp
        self.use_pos = use_pos
        self.pos_every = pos_every
        self.output_bias = output_bias
        self.start = start
        self.rematerialise = (
            False  # True while training: layers' activations are computed again for the gradient
        )

    def build(self, input_shape):
        patches = Patches(self.patch_dim, dtype=self.variable_dtype)
        tokens_shape = (None, *patches.compute_output_shape(input_shape)[1:])
        self.patches = patches
        self.unpatch = Unpatches(self.patch_dim, dtype=self.variable_dtype)
        self._dropout = keras.layers.Dropout(self.dropout, dtype=self.variable_dtype)
        self._build_transformer(tokens_shape)
        self._build_residual_maps(tokens_shape)
        if self.use_pos:
            self.position = self.add_weight(
                name="position",
                shape=tokens_shape[1:],
                initializer=keras.initializers.RandomNormal() if self.start == "random" else "zeros",
            )

    def _build_transformer(self, tokens_shape):
        options = {
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "use_norm": self.use_norm,
            "output_bias": self.output_bias,
            "start": self.start,
            "dtype": self.dtype_policy,
        }
        self.encoder = [EncoderLayer(name=f"encoder_{i}", **options) for i in range(self.num_layers)]
        options["norm_memory"] = self.formulation == "paper"
        self.decoder = [DecoderLayer(name=f"decoder_{i}", **options) for i in range(self.num_layers)]
        for layer in self.encoder + self.decoder:
            layer.build(tokens_shape)

    def _build_residual_maps(self, tokens_shape):
        self.linear_encoding = self.mlp_head = None
        if self.formulation == "paper" or not self.use_mlp:
            return
        dim = tokens_shape[-1]
        self.linear_encoding = keras.layers.Dense(
            dim, **starts.projection(dim, self.start, ends_branch=True), dtype=self.dtype_policy
        )
        self.mlp_head = FeedForward(self.dropout, self.start, dtype=self.dtype_policy)
        self.linear_encoding.build(tokens_shape)
        self.mlp_head.build(tokens_shape)

    def call(self, features, embedding=None, training=None):
        """(B, P, P, C) and a task embedding (N or 1, E) -> tokens (B, N, E)."""
        x = self.patches(features)
        if self.linear_encoding is not None:
            x = x + self._dropout(ops.cast(self.linear_encoding(x), x.dtype), training=training)
        position = self.position if self.use_pos and self.pos_every else None
        if self.use_pos and not self.pos_every:
            x = x + self.position
        for layer in self.encoder:
            x = self._run(layer, x, position=position, training=training)
        memory = x
        for layer in self.decoder:
            x = self._run(layer, x, memory, embedding=embedding, position=position, training=training)
        if self.mlp_head is not None:
            x = x + ops.cast(self.mlp_head(x, training=training), x.dtype)
        return x

    @property
    def matrices_and_others(self) -> tuple[list[keras.Variable], list[keras.Variable]]:
        """The trainable weights: the transformer layers' matrices, and all others."""
        in_layers = [weight for layer in self.encoder + self.decoder for weight in layer.trainable_variables]
        matrices = [weight for weight in in_layers if len(weight.shape) == 2]
        chosen = {id(weight) for weight in matrices}
        return matrices, [weight for weight in self.trainable_variables if id(weight) not in chosen]

    def _run(self, layer, *tokens, **options):
        if not self.rematerialise:
            return layer(*tokens, **options)
        return keras.remat(functools.partial(layer, **options))(*tokens)

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        arguments = (
            "patch_dim num_heads num_layers dropout formulation"
            " use_norm use_mlp use_pos pos_every output_bias start"
        )
        return {**config, **{name: getattr(self, name) for name in arguments.split()}}
