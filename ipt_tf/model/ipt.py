"""The Image Processing Transformer: one body, and a head, a tail and a task embedding per task."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from ipt_tf import images
from ipt_tf import tasks as task_table
from ipt_tf.model.body import Body, TaskEmbedding
from ipt_tf.model.layers import Head, Tail
from ipt_tf.model.starts import STARTS
from ipt_tf.restoration.restore import restore
from ipt_tf.tasks import OFFICIAL_TASKS, Task

MEAN_RGB = (0.4488, 0.4371, 0.4040)
"""The mean colour of DIV2K, as a fraction of the range, which the network subtracts and adds back."""

FORMULATIONS = ("official", "paper")


@keras.saving.register_keras_serializable("ipt_tf")
class IPT(keras.Model):
    """The Image Processing Transformer (Chen et al., CVPR 2021) for several restoration tasks.

    Images are RGB, channels last, 0..rgb_range; the mean colour is subtracted and added back inside. The output
    is float32 and not clipped. The defaults are the paper's network (118.9 M parameters with its six tasks).

    Args:
        tasks: names (`"sr_x2"`), `Task`s, or a mix, in head order. Default: the paper's six.
        num_features: feature channels C between head, body and tail.
        patch_size: side P of the tiles the network works on, in pixels; a multiple of patch_dim.
        patch_dim: side of a patch, in pixels; a token has E = C * patch_dim^2 values.
        num_heads: attention heads; divides E.
        num_layers: encoder layers, and as many decoder layers; heads and tails alone are an IPT of 0 without `use_mlp`
            and `use_pos`.
        dropout: dropout rate in the body.
        rgb_range: value of white.
        formulation: `"official"`, the network of the authors' code and weights, or `"paper"`, equations 1
            and 2 to the letter.
        start: initial weights: `"identity"` (an untrained network returns its input, bilinearly enlarged) or
            `"random"` (as in the authors' code).
        use_norm: whether layers normalise; like the next three, an option of the official code (`no_norm` and so
            on), only for its checkpoints.
        use_mlp: whether there are a linear encoding, an MLP after the decoder and task embeddings.
        use_pos: whether tokens have a position.
        pos_every: whether the position is added to queries and keys in every layer, instead of once to the tokens.
        output_bias: whether attention output projections have biases; only for checkpoints that carry them.

    Raises:
        ValueError: sizes that do not divide, an unknown task, formulation or start, or no task at all.

    Example:
        >>> model = IPT(["sr_x2", "denoise_50"], num_features=16, num_heads=4, num_layers=2)
        >>> model(np.zeros((1, 48, 48, 3), "float32"), task="sr_x2").shape
        (1, 96, 96, 3)
    """

    def __init__(
        self,
        tasks: Sequence[str | Task | dict] | None = None,
        num_features: int = 64,
        patch_size: int = 48,
        patch_dim: int = 3,
        num_heads: int = 12,
        num_layers: int = 12,
        dropout: float = 0.0,
        rgb_range: float = 255.0,
        formulation: str = "official",
        start: str = "identity",
        use_norm: bool = True,
        use_mlp: bool = True,
        use_pos: bool = True,
        pos_every: bool = False,
        output_bias: bool = False,
        _shares_with: "IPT | None" = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.autocast = False  # pixels enter in full precision, whatever the body computes in
        self.tasks = tuple(_as_task(task) for task in (OFFICIAL_TASKS if tasks is None else tasks))
        self.num_features = num_features
        self.patch_size = patch_size
        self.patch_dim = patch_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.dropout = dropout
        self.rgb_range = rgb_range
        self.formulation = formulation
        self.start = start
        self.use_norm = use_norm
        self.use_mlp = use_mlp
        self.use_pos = use_pos
        self.pos_every = pos_every
        self.output_bias = output_bias
        self._networks: dict[str, Callable] = {}
        self._check_arguments()
        if _shares_with is None:
            self._make_layers()
        else:
            self._share_layers(_shares_with)
        self.build((None, patch_size, patch_size, 3))

    def _check_arguments(self):
        names = self.task_names
        if not names:
            raise ValueError("an IPT needs at least one task")
        if len(set(names)) < len(names):
            raise ValueError(f"every task needs a name of its own: {', '.join(names)}")
        if self.formulation not in FORMULATIONS:
            raise ValueError(f"formulation is one of {', '.join(FORMULATIONS)}, not {self.formulation!r}")
        if self.start not in STARTS:
            raise ValueError(f"start is one of {', '.join(STARTS)}, not {self.start!r}")
        if self.num_layers < 0:
            raise ValueError(f"num_layers is a number from 0, not {self.num_layers}")
        if self.patch_size % self.patch_dim:
            raise ValueError(f"patch_size {self.patch_size} is not a multiple of patch_dim {self.patch_dim}")
        if self.token_dim % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide the token width num_features * patch_dim^2"
                f" = {self.token_dim}"
            )

    def _make_layers(self):
        dtype = self.dtype_policy
        self.body = self._make_body()
        self.heads, self.tails, self.embeddings = [], [], []
        skip_doubles = self.formulation == "official"
        for task in self.tasks:
            full = {"start": self.start, "dtype": dtype.variable_dtype}
            self.heads.append(Head(self.num_features, self.formulation, name=f"head_{task.name}", **full))
            self.tails.append(
                Tail(task.scale, gain=0.5 if skip_doubles else 1.0, name=f"tail_{task.name}", **full)
            )
            if self.use_mlp:
                rows = 1 if self.formulation == "paper" else (self.patch_size // self.patch_dim) ** 2
                name = f"embedding_{task.name}"
                self.embeddings.append(TaskEmbedding(rows, self.token_dim, name=name, **full))

    def _make_body(self) -> keras.layers.Layer:
        return Body(
            self.patch_dim,
            self.num_heads,
            self.num_layers,
            self.dropout,
            self.formulation,
            self.use_norm,
            self.use_mlp,
            self.use_pos,
            self.pos_every,
            self.output_bias,
            self.start,
            name="body",
            dtype=self.dtype_policy,
        )

    def _share_layers(self, model: "IPT"):
        self.body = model.body
        self.heads, self.tails, self.embeddings = [], [], []
        # One task after the other, as _make_layers does: the order of the weights depends on it.
        for name in self.task_names:
            index = model.task_names.index(name)
            self.heads.append(model.heads[index])
            self.tails.append(model.tails[index])
            if model.use_mlp:
                self.embeddings.append(model.embeddings[index])

    def build(self, input_shape):
        """Makes all weights, so that they can be loaded before the first call."""
        features_shape = (*input_shape[:-1], self.num_features)
        layers: list[keras.layers.Layer] = [*self.heads, self.body, *self.tails, *self.embeddings]
        for layer in layers:
            if not layer.built:  # a view's layers are built already, by the model that it shares them with
                layer.build(input_shape if layer in self.heads else features_shape)

    @property
    def token_dim(self) -> int:
        """Width E of a token."""
        return self.num_features * self.patch_dim**2

    @property
    def task_names(self) -> list[str]:
        """Names of the model's tasks, in head order."""
        return [task.name for task in self.tasks]

    def task(self, name: str | None = None) -> Task:
        """Returns the model's task of that name; None means its only one.

        Raises:
            ValueError: the model has no such task, or several and no name was given.
        """
        if name is None:
            if len(self.tasks) > 1:
                raise ValueError(f"which task? This model has {', '.join(self.task_names)}")
            return self.tasks[0]
        return task_table.pick(name, self.tasks)

    def call(self, images, task: str | None = None, training: bool | None = None):
        """Restores tiles: (B, P, P, 3) in 0..rgb_range -> (B, scale P, scale P, 3), not clipped.

        Args:
            images: tiles of side `patch_size`.
            task: name of the task; may be left out where the model has only one.
            training: whether dropout is active.
        """
        restored, _ = self.restore_with_tokens(images, task, training)
        return restored

    def restore_with_tokens(self, images, task: str | None = None, training: bool | None = None):
        """Like a call, but also returns the decoder's tokens (B, N, E), on which the contrastive loss works."""
        index = self.task_names.index(self.task(task).name)
        mean = ops.convert_to_tensor(self.rgb_range * np.array(MEAN_RGB), "float32")
        features = self.heads[index](ops.cast(images, "float32") - mean)
        embedding = self.embeddings[index].embedding if self.embeddings else None
        tokens = self.body(features, embedding, training=training)
        restored = self.body.unpatch(tokens)
        if self.formulation == "official":
            restored = restored + features
        return ops.cast(self.tails[index](restored), "float32") + mean, tokens

    def for_task(self, name: str) -> "IPT":
        """Returns a model with this one task, which shares its weights with this model.

        Training the one trains the other. Its calls need no `task`.

        Raises:
            ValueError: the model has no such task.
        """
        return self._view([name], name=name)

    def for_tasks(self, names: Sequence[str]) -> "IPT":
        """Like `for_task`, with several tasks in this order."""
        return self._view(names)

    def own_weights(self, name: str) -> list[keras.Variable]:
        """Returns the trainable weights that one task has for itself: those of its head, tail and embedding.

        Raises:
            ValueError: the model has no such task.
        """
        view = self.for_task(name)
        parts: list[keras.layers.Layer] = [*view.heads, *view.tails, *view.embeddings]
        return [weight for part in parts for weight in part.trainable_variables]

    def adapt(self, task: Task, like: str) -> "IPT":
        """Returns a model of one new task, with weights of its own: those of this model's body and task `like`.

        Args:
            task: the new task.
            like: name of a task of this model, of the same scale, whose head, tail and embedding are copied.

        Raises:
            ValueError: this model has no task `like`, or one of another scale.

        Example:
            >>> model.adapt(Task("denoise_10", degrade=gaussian_noise(10)), like="denoise_30")
        """
        return self.extended([task], like)

    def extended(self, tasks: Sequence[str | Task], like: str | None = None) -> "IPT":
        """Returns a model of some tasks, with weights of its own: those of this model, where it has the task.

        Args:
            tasks: names of tasks that this model has or not, or `Task`s, which are new to it.
            like: for new ones: name of a task of this model, of the same scale, whose head, tail and embedding they
                begin with.

        Raises:
            ValueError: there are new tasks without `like`, or of another scale.

        Example:
            >>> model.extended(["denoise", "camera"], like="denoise")
        """
        from ipt_tf.model import checkpoints

        known = [task if task in self.task_names else None for task in tasks]
        chosen = [
            self.task(name) if name else _as_task(task) for name, task in zip(known, tasks, strict=True)
        ]
        begins_as = [name or like for name in known]
        for task, source in zip(chosen, begins_as, strict=True):
            if source is None:
                raise ValueError(
                    f"these weights have no task {task.name}: name one to start from (like=..., --like) of"
                    f" {', '.join(self.task_names)}"
                )
            if (scale := self.task(source).scale) != task.scale:
                raise ValueError(
                    f"task {task.name} has scale {task.scale}, {source} has {scale}: a tail enlarges by one scale"
                )
        name = chosen[0].name if len(chosen) == 1 else None
        new = type(self)(**{**self.get_config(), "tasks": chosen, "name": name})
        pairs = list(zip(new.body.weights, self.body.weights, strict=True))
        for task, source in zip(chosen, begins_as, strict=True):
            pairs += zip(new.own_weights(task.name), self.own_weights(self.task(source).name), strict=True)
        for weight, value in pairs:
            checkpoints.copy_value(value, weight)
        return new

    def grow(self, num_layers: int) -> "IPT":
        """Returns a deeper network that restores as this one does: its weights, and new layers that change nothing.

        The last projection of every new layer is zero, so that training goes on from where this network is. One
        without a body (`without_body`) gets the whole of it.

        Args:
            num_layers: encoder layers, and as many decoder layers.

        Raises:
            ValueError: this network has more layers.

        Example:
            >>> deeper = IPT.from_pretrained("ipt_tiny", task="derain").grow(num_layers=6)
        """
        from ipt_tf.model import checkpoints

        if num_layers < self.num_layers:
            raise ValueError(f"this network has {self.num_layers} layers already, and {num_layers} are fewer")
        body = {"use_mlp": True, "use_pos": True} if num_layers and not self.num_layers else {}
        changes = {"num_layers": num_layers, "start": "identity", "tasks": self.tasks, **body}
        deeper = type(self)(**{**self.get_config(), **changes})
        checkpoints.give(self, deeper)
        return deeper

    def without_body(self) -> "IPT":
        """Returns this network's heads and tails alone, with its weights: what a head makes goes into its tail.

        Example:
            >>> IPT.from_pretrained("ipt_tiny").for_tasks(["sr_x2", "sr_x3"]).without_body().grow(num_layers=2)
        """
        from ipt_tf.model import checkpoints

        changes = {"num_layers": 0, "use_mlp": False, "use_pos": False, "tasks": self.tasks}
        ends = type(self)(**{**self.get_config(), **changes})
        checkpoints.give(self, ends)
        return ends

    def _view(self, names: Sequence[str], **kwargs) -> "IPT":
        tasks = [self.task(name) for name in names]
        return type(self)(**{**self.get_config(), "tasks": tasks, **kwargs}, _shares_with=self)

    def network(self, task: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Returns one task as a compiled function of tiles, for `ipt_tf.restoration`.

        It maps float32 tiles (n, P, P, 3) in 0..255 to (n, scale P, scale P, 3), not clipped, whatever the
        model's `rgb_range`. On TensorFlow it is traced once per task, on JAX once per task and number of tiles.
        """
        name = self.task(task).name
        if name not in self._networks:
            self._networks[name] = self._compile(name)
        return self._networks[name]

    def _compile(self, task: str) -> Callable[[np.ndarray], np.ndarray]:
        view = self.for_task(task)
        if keras.backend.backend() == "tensorflow":
            from ipt_tf.model import graph

            run = graph.compiled(view, self.patch_size)
        else:
            view.jit_compile = keras.backend.backend() == "jax"
            run = view.predict_on_batch
        unit = np.float32(self.rgb_range / 255)
        return lambda tiles: run(tiles * unit) / unit

    @property
    def threads(self) -> int:
        """Calls of `network` at once that suit the backend and this machine."""
        if keras.backend.backend() != "tensorflow":
            return 1
        from ipt_tf.model import graph

        return graph.calls_at_once()

    def restore(
        self,
        image: np.ndarray | str | Path,
        task: str | None = None,
        *,
        overlap: int = 10,
        batch_size: int = 16,
        self_ensemble: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> np.ndarray:
        """Restores photographs of any size, tile by tile.

        Args:
            image: (H, W, 3), (H, W) or (B, H, W, 3), uint8, uint16 or float in 0..255; or the path of a picture.
            task: name of the task; may be left out where the model has only one.
            overlap: pixels shared by neighbouring tiles.
            batch_size: most tiles at a time.
            self_ensemble: average over the 8 flips and turns of every tile: 8 times slower, a little better.
            progress: called as `progress(done, total)` with tiles after every batch.

        Returns:
            The restored image in the dtype and layout of the input, `scale` times as high and wide.

        Raises:
            ValueError: not an image, not a picture, or no such task.

        Example:
            >>> clean = model.restore("noisy.png", task="denoise_50")
        """
        scale = self.task(task).scale
        if isinstance(image, str | Path):
            image = images.read(image).pixels
        return restore(
            image,
            self.network(task),
            scale,
            tile=self.patch_size,
            overlap=overlap,
            batch_size=batch_size,
            self_ensemble=self_ensemble,
            threads=self.threads,
            progress=progress,
        )

    @classmethod
    def from_pretrained(
        cls, source: str | Path = "ipt_tiny", task: str | None = None, dtype: str = "float32", **options
    ) -> "IPT":
        """Returns a model with weights: a preset's, those that were saved, here or elsewhere, or the authors'.

        Each task has the weights that are best for it. Where these are not all of one network, as in `"ipt_tiny"`, the
        model is a `ipt_tf.model.joined.JoinedIPT`, which restores and exports like any other.

        Args:
            source: `"ipt_tiny"`, whose weights ship with the package; a folder that `save_pretrained` wrote, or the
                `model.safetensors` in it; the URL of such a file, ending with `#sha256=` and its hash; or a
                checkpoint of the authors (`IPT_pretrain.pt`, `IPT_sr2.pt` ..., or .safetensors), which is read
                without PyTorch.
            task: keep only this task; for a file with one task of scale 1, what it restores.
            dtype: Keras's policy of the body: `"mixed_bfloat16"` is faster where the processor has it.
            options: for the authors' files: `tasks`, `num_heads`, `pos_every`; see
                `ipt_tf.model.checkpoints.load`.

        Raises:
            ValueError: no such source, or a file that is damaged or does not fit.

        Example:
            >>> model = IPT.from_pretrained("IPT_denoise50.pt")
        """
        from ipt_tf.model import checkpoints

        model = checkpoints.load(source, task=task, **options)
        return model if dtype == "float32" else checkpoints.copy(model, dtype)

    def save_pretrained(self, folder: str | Path, dtype: str = "float32") -> None:
        """Writes configuration and weights into a folder that `from_pretrained` loads.

        Args:
            folder: made if missing; replaced if it holds a saved model.
            dtype: of the weights on disk, "float32" or "float16".

        Raises:
            ValueError: the folder holds something else.
        """
        from ipt_tf.model import checkpoints

        checkpoints.save(self, folder, dtype)

    def export(self, filepath: str | Path, format: str = "tf_saved_model", **options) -> None:
        """Writes a model of one task for inference without this package; by default a SavedModel for TF-Serving.

        Args:
            filepath: a folder that does not exist yet, such as `models/ipt_derain/1`.
            format: `"tf_saved_model"` (see `ipt_tf.export.saved_model`), or another of `keras.Model.export`.
            options: of that format.

        Raises:
            ValueError: the model has several tasks, or the folder exists or cannot be written.

        Example:
            >>> model.for_task("derain").export("models/ipt_derain/1")
        """
        if format != "tf_saved_model":
            super().export(filepath, format, **options)
            return
        from ipt_tf.export import saved_model

        saved_model.export(self, filepath, **options)

    def get_config(self):
        arguments = (
            "num_features patch_size patch_dim num_heads num_layers dropout rgb_range formulation start"
            " use_norm use_mlp use_pos pos_every output_bias"
        )
        return {
            **super().get_config(),
            "tasks": [{"name": task.name, "scale": task.scale} for task in self.tasks],
            **{name: getattr(self, name) for name in arguments.split()},
        }


def _as_task(task: str | Task | dict) -> Task:
    """Returns a task from its name, from itself, or from a configuration's {"name", "scale"}."""
    if isinstance(task, Task):
        return task
    if isinstance(task, str):
        return task_table.find(task)
    try:
        known = task_table.find(task["name"])
    except ValueError:
        return Task(**task)
    return known if known.scale == task["scale"] else Task(**task)
