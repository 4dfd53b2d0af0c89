"""One of several processes that train together on JAX: python jax_worker.py PHOTOGRAPHS OUT STEPS."""

import os
import sys
from dataclasses import replace

import five_steps

from ipt_tf.data import Photographs
from ipt_tf.training import loop


def main(photographs: str, out: str, steps: str) -> None:
    try:
        strategy = loop.choose_strategy("workers", float(os.environ.get("START_TIMEOUT", "120")))
        loop.train(
            five_steps.network(),
            Photographs.of_folder(photographs, smallest_side=48),
            replace(five_steps.RECIPE, accumulate=1),
            out,
            steps=int(steps),
            strategy=strategy,
            held_out=2,
            validate_every=5,
            checkpoint_minutes=0,
            log=lambda line: print(line, flush=True),
        )
    except loop.RunError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
