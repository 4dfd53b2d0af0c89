"""Whole images through a network that sees tiles of one size."""
