"""Where a run computes: one device, all devices of this machine, or workers on many."""

import os
from collections.abc import Callable

import tensorflow as tf

from ipt_tf.training import cluster
from ipt_tf.training.run_folder import RunError

STRATEGIES = ("auto", "one", "cores", "mirrored", "workers")

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""What collective operations raise when another worker is gone."""


def make(name: str = "auto", timeout: float = 300.0) -> tf.distribute.Strategy:
    """Returns a strategy by name; the first thing that a process asks of TensorFlow.

    Args:
        name: `"one"` device; `"cores"`, a replica on each core of the processor, which together are faster than one on
            all cores, as small operations do not divide well; `"mirrored"`, all GPUs of this machine (without any,
            all its logical CPUs); `"workers"`, the processes that the environment variable TF_CONFIG lists; or
            `"auto"`: workers if TF_CONFIG is set, else mirrored if there are several GPUs, else one.
        timeout: seconds to wait for workers that have not been started.

    Raises:
        RunError: an unknown name; `"cores"` after TensorFlow has computed something; `"workers"` without a TF_CONFIG
            that lists them, or some that do not start.
    """
    if name not in STRATEGIES:
        raise RunError(f"unknown strategy {name!r}; there are {', '.join(STRATEGIES)}")
    if name == "workers" or (name == "auto" and cluster.is_set()):
        return _workers(timeout)
    if name == "cores":
        return _cores(os.cpu_count() or 1)
    devices = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(devices) > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices or tf.config.list_logical_devices("CPU"))


def _cores(count: int) -> tf.distribute.Strategy:
    (processor,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * count
        )
        tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        raise RunError("strategy cores must be chosen before TensorFlow has computed anything") from None
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])


def _workers(timeout: float) -> tf.distribute.Strategy:
    addresses, index = cluster.workers()
    with cluster.gathered(addresses, index, timeout):
        pass  # TensorFlow listens at the same address from here on
    implementation = tf.distribute.experimental.CommunicationImplementation
    communication = implementation.AUTO if tf.config.list_physical_devices("GPU") else implementation.RING
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(implementation=communication)
    )


def count_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that train together."""
    resolver = strategy.cluster_resolver
    return len(resolver.cluster_spec().as_dict()["worker"]) if resolver else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the first worker, or the only process."""
    return not strategy.cluster_resolver or strategy.cluster_resolver.task_id == 0


def agree(strategy: tf.distribute.Strategy, number: Callable[[], int], what: str) -> None:
    """Checks that all workers return the same number: all of them raise, or none.

    Workers that train different tasks in one step spoil each other's weights without any error.

    Args:
        strategy: that of the run.
        number: returns one from 0 to 2**20; not called where there is one worker.
        what: what the number says, for the message.

    Raises:
        RunError: the numbers differ.
    """
    if count_workers(strategy) == 1:
        return
    x = tf.constant(number(), tf.int64)
    sums = strategy.run(_sum_with_squares, args=(x,))
    total, squares = strategy.experimental_local_results(sums)[0].numpy().tolist()
    if strategy.num_replicas_in_sync * squares != total**2:  # equal only where all numbers are
        raise cluster.differing(what)


@tf.function
def _sum_with_squares(x: tf.Tensor) -> tf.Tensor:
    return tf.distribute.get_replica_context().all_reduce("SUM", tf.stack([x, x * x]))
