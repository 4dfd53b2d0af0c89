"""Measuring restored photographs as the field does."""
