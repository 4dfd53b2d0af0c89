"""Restores photographs on a server, ours or TF-Serving, over gRPC or REST."""

import time
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import numpy as np

from ipt_tf.images import read
from ipt_tf.restoration.restore import Progress, restore
from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.transport import Model, OutOfTime, Signature, Tensor, Tls, Transport

_TILES, _FILES = "serving_default", "restore_bytes"
_PAUSE = 0.5


class Client:
    """One task of a server.

    Waits for the server to be ready, and checks once that its model is what is expected. A call that finds no
    server, or one that has no time (UNAVAILABLE), is repeated with growing, random pauses until its deadline.

    Args:
        url: grpc://host:8500 or http://host:8501; grpcs:// and https:// with TLS. gRPC needs
            tensorflow-serving-api and TensorFlow; http does not, and takes longer for tiles.
        task: such as "sr_x2": the server's model is `ipt_<task>`.
        version: number of a version; by default the newest.
        label: label of a version, such as "stable".
        deadline: seconds for each call; a call is one batch of tiles, or one file.
        ready_within: seconds to wait for the server and its model.
        ca: file of the certificates (PEM) that are trusted instead of the system's.
        certificate: files of the client's own certificate and its key (PEM), for servers that ask for one.

    Raises:
        ValueError: a URL of another kind, both a version and a label, or no certificate and its key.
        ModuleNotFoundError: gRPC without what it needs.
        ServingError: the server is not ready in time, or has no such model; its `code` is gRPC's.

    Example:
        >>> with Client("grpc://localhost:8500", "denoise_50") as client:
        ...     clean = client.restore("noisy.png")
    """

    def __init__(
        self,
        url: str,
        task: str,
        *,
        version: int | None = None,
        label: str | None = None,
        deadline: float = 60.0,
        ready_within: float = 60.0,
        ca: str | Path | None = None,
        certificate: tuple[str | Path, str | Path] | None = None,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError("a version or a label can be asked for, not both")
        self.deadline = deadline
        self._where = f"{url}, {(model := Model(f'ipt_{task}', version, label))}"
        tls = Tls(Path(ca) if ca else None, *map(Path, certificate or ()))
        self._transport = _connect(url, model, tls)
        try:
            self._wait(ready_within)
            self._signatures = self._transport.signatures(deadline)
            self.tile, self.scale = self._check_tiles()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def network(self, tiles: np.ndarray) -> np.ndarray:
        """Restores tiles on the server: float32 (n, tile, tile, 3) in 0..255 to (n, scale tile, scale tile, 3)."""
        return self._only(_TILES, {"images": tiles})

    def restore(
        self,
        image: np.ndarray | str | Path,
        *,
        overlap: int = 10,
        batch_size: int = 16,
        self_ensemble: bool = False,
        threads: int = 4,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Restores photographs of any size: cuts and blends tiles here, and has them restored there.

        Args:
            image: as for `IPT.restore`: uint8, uint16 or float in 0..255, RGB or grey; or the path of a picture.
            overlap: pixels shared by neighbouring tiles.
            batch_size: most tiles in a call; servers take 16 as they come.
            self_ensemble: average over the 8 flips and turns of every tile.
            threads: calls at the same time.
            progress: called as `progress(done, total)` with tiles after every batch.

        Returns:
            The restored image in the dtype and layout of the input, `scale` times as high and wide.

        Raises:
            ValueError: not an image, or not a picture.
            ServingError: the server did not answer.
        """
        if isinstance(image, str | Path):
            image = read(image).pixels
        return restore(
            image,
            self.network,
            self.scale,
            tile=self.tile,
            overlap=overlap,
            batch_size=batch_size,
            self_ensemble=self_ensemble,
            threads=threads,
            progress=progress,
        )

    def restore_bytes(self, data: bytes) -> bytes:
        """Has the server decode, restore and encode a whole picture, in one call.

        The least to send, and the most that one call takes: servers bound size and time.

        Args:
            data: content of a picture file of a kind that the model reads, such as PNG or JPEG.

        Returns:
            Content of a PNG file.

        Raises:
            ServingError: the server did not answer, or could not decode the file, or the model has no signature
                `restore_bytes`.
        """
        self._check(_FILES, Signature({"image_bytes": _ANY_STRINGS}, {"restored_bytes": _ANY_STRINGS}))
        files = np.empty(1, object)
        files[0] = data
        restored = self._only(_FILES, {"image_bytes": files})[0]
        if not restored:  # the server joined the file with those of others, which its damage must not harm
            raise ServingError("INVALID_ARGUMENT", f"{self._where}: the file is no picture, or is damaged")
        return restored

    def _only(self, signature: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        (output,) = self._transport.predict(signature, inputs, self.deadline).values()
        return output

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        problem = "it is being loaded"
        while (left := ends - time.monotonic()) > 0:
            try:
                state = self._transport.state(left)
            except ServingError as error:
                if error.code != "DEADLINE_EXCEEDED":
                    raise
                problem = (isinstance(error, OutOfTime) and error.problem) or problem
                break
            if state == "AVAILABLE":
                return
            if state == "END":
                raise ServingError("NOT_FOUND", f"{self._where}: the server could not load it")
            time.sleep(min(_PAUSE, left))
        raise ServingError("DEADLINE_EXCEEDED", f"{self._where}: not ready after {seconds:.0f} s ({problem})")

    def _check_tiles(self) -> tuple[int, int]:
        """Returns the side of a tile and the scale, if the model is one that restores tiles."""
        found = self._signatures.get(_TILES, Signature({}, {}))
        images, restored = found.inputs.get("images"), found.outputs.get("restored")
        if images is None or restored is None or not (_is_tiles(images) and _is_tiles(restored)):
            self._refuse(_TILES, "images (-1, P, P, 3) -> restored (-1, sP, sP, 3), float32")
        return images.shape[1], restored.shape[1] // images.shape[1]

    def _check(self, name: str, expected: Signature) -> None:
        if self._signatures.get(name) != expected:
            self._refuse(name, str(expected))

    def _refuse(self, name: str, expected: str) -> NoReturn:
        raise ServingError(
            "FAILED_PRECONDITION",
            f"{self._where}: signature {name} should be {expected}; it is {self._signatures.get(name)}",
        )


_ANY_STRINGS = Tensor("string", (-1,))


def _is_tiles(tensor: Tensor) -> bool:
    return (
        tensor.dtype == "float32"
        and len(tensor.shape) == 4
        and tensor.shape[1] == tensor.shape[2] > 0
        and tensor.shape[3] == 3
    )


def _connect(url: str, model: Model, tls: Tls) -> Transport:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        from ipt_tf.serving.rest_transport import RestTransport

        return RestTransport(url.rstrip("/"), model, tls=tls)
    if parts.scheme in ("grpc", "grpcs") and parts.hostname and parts.port:
        try:
            from ipt_tf.serving.grpc_transport import GrpcTransport
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"gRPC needs {error.name}: pip install 'ipt_tf[serving]'; an http:// server needs no more than is here"
            ) from None
        return GrpcTransport(parts.netloc, model, tls=tls if parts.scheme == "grpcs" else None)
    raise ValueError(f"a server is grpc://HOST:PORT, grpcs://, http:// or https://, not {url}")
