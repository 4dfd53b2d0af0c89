"""One process of a training run: python worker.py PHOTOGRAPHS OUT STEPS DEVICES STRATEGY [CHECKPOINT_MINUTES]."""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""


def main(photographs, out, steps, devices, strategy, minutes="3"):
    import tensorflow as tf

    from ipt_tf.training.trainers.tensorflow import strategies

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(devices))
    try:
        chosen = strategies.make(strategy, timeout=float(os.environ.get("START_TIMEOUT", "120")))
    except strategies.RunError as error:
        sys.exit(f"error: {error}")

    import keras

    from ipt_tf import IPT
    from ipt_tf.data import Photographs
    from ipt_tf.training import loop
    from ipt_tf.training.recipes import Recipe

    keras.utils.set_random_seed(0)
    model = IPT(
        ["sr_x2", "denoise_50"], num_features=4, patch_size=12, num_heads=2, num_layers=1, start="random"
    )
    recipe = Recipe(
        batch_size=4,
        optimizer="muon",
        warmup=2,
        learning_rate=1e-3,
        contrastive=0.1,
        clip_norm=0.5,
        ema=0.0,
    )
    try:
        loop.train(
            model,
            Photographs.of_folder(photographs, smallest_side=96),
            recipe,
            out,
            steps=int(steps),
            strategy=chosen,
            held_out=2,
            checkpoint_minutes=float(minutes),
            log=lambda line: print(line, flush=True),
        )
    except strategies.RunError as error:
        print(f"error: {error}", flush=True)
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
