"""Training by TensorFlow, under its strategies: one device, replicas, workers."""
