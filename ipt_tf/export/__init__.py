"""Models for TF-Serving (SavedModel) and for phones (LiteRT)."""
