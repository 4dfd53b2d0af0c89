"""Measuring restored photographs as the field does: metrics, benchmark sets, the paper's tables, pictures."""
