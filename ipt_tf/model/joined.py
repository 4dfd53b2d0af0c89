"""Several networks as one model, where some tasks have better weights for themselves."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task


@keras.saving.register_keras_serializable("ipt_tf")
class JoinedIPT(IPT):
    """An IPT whose tasks do not all share one body: each task is restored by the network that has it.

    `IPT.from_pretrained` returns one where the weights are several networks'. It restores, exports and gives single
    tasks as any IPT; what is about one body (`grow`, training several tasks) wants tasks that share one.

    Args:
        parts: networks of different tasks, for tiles of one size and one range of pixels.
        order: names of all their tasks, in the order in which the model has them. Default: part after part.

    Raises:
        ValueError: parts with a task in common, or of different tiles or ranges.

    Example:
        >>> model = JoinedIPT([IPT(["sr_x2", "sr_x3"], num_layers=2), IPT(["derain"], num_layers=4)])
        >>> model.for_task("derain").num_layers
        4
    """

    def __init__(self, parts: Sequence[IPT], order: Sequence[str] | None = None, **kwargs):
        keras.Model.__init__(self, **kwargs)  # an IPT's own would make a body
        self.autocast = False
        self.parts = list(parts)
        self._part_of = {name: part for part in parts for name in part.task_names}
        if len(self._part_of) < sum(len(part.tasks) for part in parts):
            raise ValueError("the networks of a model have tasks in common: each task belongs to one of them")
        for name in ("patch_size", "rgb_range"):
            if len({getattr(part, name) for part in parts}) > 1:
                raise ValueError(f"the networks of a model differ in {name}")
        self.patch_size, self.rgb_range = parts[0].patch_size, parts[0].rgb_range
        self.tasks = tuple(self._part_of[name].task(name) for name in order or self._part_of)
        self.built = True

    def _having(self, task: str | None) -> IPT:
        return self._part_of[self.task(task).name]

    def restore_with_tokens(self, images, task: str | None = None, training: bool | None = None):
        """Like a call, but also returns the decoder's tokens."""
        return self._having(task).restore_with_tokens(images, self.task(task).name, training)

    def for_task(self, name: str) -> IPT:
        """Returns a model with this one task, which shares its weights with this model."""
        return self._having(name).for_task(name)

    def for_tasks(self, names: Sequence[str]) -> IPT:
        """Returns a model of several tasks in this order; an IPT of one body, if they share one."""
        parts = list(dict.fromkeys(map(self._having, names)))
        if len(parts) == 1:
            return parts[0].for_tasks(names)
        return JoinedIPT(
            [part.for_tasks([name for name in names if name in part.task_names]) for part in parts], names
        )

    def own_weights(self, name: str) -> list[keras.Variable]:
        """Returns the trainable weights that one task has for itself: those of its head, tail and embedding."""
        return self._having(name).own_weights(name)

    def extended(self, tasks: Sequence[str | Task], like: str | None = None) -> IPT:
        """Returns a model of some tasks, with weights of its own; those that it begins with have to share a body."""
        begin_with = [task if task in self.task_names else like for task in tasks]
        if None in begin_with:
            return super().extended(tasks, like)  # which says what is missing
        model = self.for_tasks([*dict.fromkeys(map(str, begin_with))])
        if isinstance(model, JoinedIPT):
            raise ValueError(model.explanation)
        return model.extended(tasks, like)

    def network(self, task: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Returns one task as a compiled function of tiles."""
        return self._having(task).network(self.task(task).name)

    def grow(self, num_layers: int) -> IPT:
        """Raises ValueError: there are several bodies."""
        raise ValueError(self.explanation)

    def without_body(self) -> IPT:
        """Raises ValueError: there are several bodies."""
        raise ValueError(self.explanation)

    @property
    def explanation(self) -> str:
        """Says which tasks share a body, for a message."""
        groups = "; ".join(" ".join(part.task_names) for part in self.parts)
        return f"these tasks do not share one body, so choose some that do ({groups})"

    def save_pretrained(self, folder: str | Path, dtype: str = "float32") -> None:
        """Writes a folder that `from_pretrained` loads: the first task's network, and the others in folders inside it.

        Raises:
            ValueError: the folder holds something else.
        """
        first = self._having(self.task_names[0])
        others = [part for part in self.parts if part is not first]
        first.save_pretrained(folder, dtype)
        for part in others:
            part.save_pretrained(Path(folder) / "+".join(part.task_names), dtype)

    def get_config(self):
        return {
            **keras.Model.get_config(self),
            "parts": [keras.saving.serialize_keras_object(part) for part in self.parts],
            "order": self.task_names,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the model of a configuration, with weights of its own."""
        parts = [keras.saving.deserialize_keras_object(part, custom_objects) for part in config["parts"]]
        return cls(**{**config, "parts": parts})
