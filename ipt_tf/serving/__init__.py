"""A small server that speaks TF-Serving's protocol, and a client for it and for TF-Serving itself.

The client is imported when it is first used: over REST it needs no TensorFlow.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipt_tf.serving.client import Client
    from ipt_tf.serving.errors import ServingError

__all__ = ["Client", "ServingError"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from ipt_tf.serving.client import Client

        return Client
    if name == "ServingError":
        from ipt_tf.serving.errors import ServingError

        return ServingError
    raise AttributeError(f"module 'ipt_tf.serving' has no attribute {name!r}")
