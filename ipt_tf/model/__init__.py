"""The network, in keras.layers and keras.ops alone, and where its weights come from."""
