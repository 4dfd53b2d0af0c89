"""Random numbers for tests of degradations in graphs."""


class Repeatable:
    """Stateless random numbers, as a tf.data pipeline hands them in."""

    def __init__(self):
        self.draws = 0

    def random(self, shape):
        import tensorflow as tf

        self.draws += 1
        return tf.random.stateless_uniform(shape, (0, self.draws))

    def standard_normal(self, shape):
        import tensorflow as tf

        self.draws += 1
        return tf.random.stateless_normal(shape, (0, self.draws))
