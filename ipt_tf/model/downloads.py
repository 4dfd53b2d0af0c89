"""Files of weights that lie somewhere else: fetched once, and taken only if they are the very file that was meant."""

import contextlib
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import keras

from ipt_tf.model.torch_files import CheckpointError

_HASH = re.compile(r"(.*)#sha256=([0-9a-f]{64})", re.IGNORECASE)


def is_url(source: str | Path) -> bool:
    """Whether a source of weights is a URL that can be fetched, and no path."""
    return str(source).lower().startswith(("http://", "https://", "file://"))


def fetch(source: str) -> Path:
    """Returns the file of a URL that ends with `#sha256=` and its hash, fetched into Keras's folder if need be.

    Raises:
        CheckpointError: the URL has no hash, it cannot be fetched, or it is another file.

    Example:
        >>> fetch("https://example.org/ipt_small.safetensors#sha256=9ecc18bd...")
        PosixPath('/home/me/.keras/ipt_tf/9ecc18bd3c9a_ipt_small.safetensors')
    """
    match = _HASH.fullmatch(source)
    if match is None:
        raise CheckpointError(
            f"{source}: a URL needs the sha256 of its file, so that no other is taken for it: URL#sha256=HASH"
        )
    url, sha256 = match[1], match[2].lower()
    name = Path(unquote(urlsplit(url).path)).name
    try:
        with contextlib.redirect_stdout(sys.stderr):  # which is where progress belongs
            path = keras.utils.get_file(
                f"{sha256[:12]}_{name}",
                origin=url,
                file_hash=sha256,
                hash_algorithm="sha256",
                cache_subdir="ipt_tf",
            )
    except ValueError:
        raise CheckpointError(f"{url} is not the file that was meant: its sha256 is not {sha256}") from None
    except Exception as error:  # of no class of its own
        raise CheckpointError(
            f"{url} cannot be fetched ({error}); a path to the file, fetched by other means, would do too"
        ) from None
    return Path(path)
