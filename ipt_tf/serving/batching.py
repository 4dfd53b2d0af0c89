"""Tiles of concurrent requests in one batch, by TensorFlow's own batch function."""

import itertools
import os
from collections.abc import Callable

import tensorflow as tf

from ipt_tf.serving.configs import Batching

_numbers = itertools.count()


def can_be_batched(specs: dict[str, tf.TensorSpec]) -> bool:
    """Whether inputs of several requests can be joined along their first axis: numbers, all else of fixed size.

    Whole images differ in size, and files of pictures, which take long each, gain nothing.
    """
    return all(
        spec.dtype != tf.string
        and spec.shape.rank
        and spec.shape[0] is None
        and spec.shape[1:].is_fully_defined()
        for spec in specs.values()
    )


def batched(signature, specs: dict[str, tf.TensorSpec], batching: Batching) -> Callable[..., dict]:
    """Returns a signature of a SavedModel as a function whose concurrent calls are computed together.

    Args:
        signature: function of the keyword arguments `specs`, which returns a dictionary of tensors.
        specs: see `can_be_batched`.
        batching: sizes and times.

    Returns:
        Function of the same arguments and result. It blocks until the batch that the call is part of is done, and
        raises tf.errors.UnavailableError while too many batches wait.
    """
    names = sorted(specs)
    arguments = [specs[name] for name in names]

    @tf.function(input_signature=arguments)
    def computation(*inputs):
        outputs = signature(**dict(zip(names, inputs, strict=True)))
        return [outputs[name] for name in sorted(outputs)]

    together = computation.get_concrete_function()
    outputs = sorted(signature.structured_outputs)
    # TensorFlow joins the calls that have the same name here, and keeps the first function of that name.
    name = f"ipt_batch_{next(_numbers)}"

    @tf.function(input_signature=arguments)
    def enqueue(*inputs):
        return tf.raw_ops.BatchFunction(
            in_tensors=inputs,
            captured_tensors=together.captured_inputs,
            f=together,
            Tout=[output.dtype for output in together.outputs],
            max_batch_size=batching.max_batch_size,
            # TF-Serving's threads are shared by all models, and held by large pictures. These are this signature's.
            num_batch_threads=min(batching.num_batch_threads, os.cpu_count() or 1),
            batch_timeout_micros=batching.batch_timeout_micros,
            max_enqueued_batches=batching.max_enqueued_batches,
            allowed_batch_sizes=list(batching.allowed_batch_sizes),
            shared_name=name,
        )

    enqueue.get_concrete_function()

    def call(**inputs):
        return dict(zip(outputs, enqueue(*(inputs[name] for name in names)), strict=True))

    return call
