"""Training: losses, recipes and the loop that runs them."""
