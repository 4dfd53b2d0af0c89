"""What differentiates a step and moves the weights, by backend: `ipt_tf.training.loop.Trainer` says what they share."""
