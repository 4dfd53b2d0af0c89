"""Models for TF-Serving (SavedModel) and for phones (LiteRT)."""

VARIANTS = ("float32", "float16", "dynamic_int8", "int8")
"""LiteRT files by the precision of their numbers; see `ipt_tf.export.litert`."""
