"""The models in a folder, `<folder>/<name>/<version>/saved_model.pb`, and what changes there."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ipt_tf.export.folders import version_of
from ipt_tf.serving.configs import Served
from ipt_tf.serving.errors import ServingError
from ipt_tf.serving.servable import Servable

_log = logging.getLogger(__name__)

Load = Callable[[Path, str, int], Servable]
"""Loads a folder as a version of the model of a name."""

_Files = frozenset[tuple[str, int, int]]
_Found = dict[tuple[str, int], Path | None]


@dataclass(frozen=True)
class Status:
    """What is known of one version.

    Args:
        version: number.
        state: LOADING, AVAILABLE or, where it could not be loaded, END.
        error: why not.
    """

    version: int
    state: str
    error: str = ""


@dataclass
class _Version:
    """A version that was tried: as what, and from which files."""

    status: Status
    files: _Files
    servable: Servable | None = None


@dataclass
class Store:
    """All versions of all models in a folder: each is served from when it is whole until it is removed.

    A version is loaded once nothing in it changed between two looks, so that one that is still being copied is
    left alone; one that cannot be loaded is tried again when its files change. Requests that run while a version
    is removed finish with it. What cannot be read is reported and stays as it was: it may be readable again.

    Args:
        folder: of the models.
        load: loads a version.
        models: by name, what is served of them; all versions of all folders by default.
    """

    folder: Path
    load: Load
    models: Mapping[str, Served] | None = None

    def __post_init__(self) -> None:
        self._versions: dict[str, dict[int, _Version]] = {}
        self._seen: dict[tuple[str, int], _Files] = {}
        self._reported: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def watch(self, seconds: float) -> threading.Thread:
        """Looks at the folder again every `seconds`, in a thread, until `close`."""

        def look() -> None:
            while not self._stop.wait(seconds):
                try:
                    self.look()
                except Exception:  # versions that come later are to be found all the same
                    _log.exception("the folder of models could not be looked at")

        thread = threading.Thread(target=look, name="models", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Stops `watch`."""
        self._stop.set()

    def look(self) -> None:
        """Loads what is new and whole since the last look, and forgets what was removed."""
        problems: set[str] = set()
        found = self._wanted(self._find(problems))
        for problem in sorted(problems - self._reported):
            _log.warning("%s", problem)
        self._reported = problems
        with self._lock:
            for name, versions in list(self._versions.items()):
                self._versions[name] = {
                    number: each for number, each in versions.items() if (name, number) in found
                }
                if not self._versions[name]:
                    del self._versions[name]
        seen = {}
        for (name, number), folder in found.items():
            if folder is None:
                continue
            files = _files(folder)
            seen[name, number] = files
            known = self._versions.get(name, {}).get(number)
            settled = self._seen.get((name, number)) == files
            if settled and (known is None or (known.servable is None and known.files != files)):
                self._load(name, number, folder, files)
        self._seen = seen

    def _find(self, problems: set[str]) -> _Found:
        """Returns the folder of each version that is there; None for one that was known and cannot be read now."""
        known = {(name, number) for name, versions in self._versions.items() for number in versions}
        try:
            folders = self._folders(bool(known))
        except OSError as error:
            problems.add(f"{error}: the models are served as they were")
            return dict.fromkeys(known)
        found: _Found = {}
        for name, folder in folders.items():
            try:
                children = sorted(os.listdir(folder))
            except NotADirectoryError:
                continue
            except OSError as error:
                problems.add(f"{error}: what is served of {name} stays as it was")
                found |= {each: None for each in known if each[0] == name}
                continue
            for child in children:
                if (number := version_of(child)) is not None:
                    is_version = os.path.lexists(folder / child / "saved_model.pb")
                    if is_version or (name, number) in known:
                        found[name, number] = folder / child if is_version else None
        return found

    def _folders(self, serving: bool) -> dict[str, Path]:
        """Returns the folder of each model; raises OSError where there are none any more, as of a disk that is away."""
        if self.models is not None:
            return {name: model.folder for name, model in self.models.items()}
        names = sorted(os.listdir(self.folder))
        if serving and not names:
            raise OSError(f"{self.folder} is empty")
        return {name: self.folder / name for name in names if not name.startswith(".")}

    def _wanted(self, found: _Found) -> _Found:
        """Leaves out versions that are not to be served, as soon as one is served that is."""
        if self.models is None:
            return found
        wanted = {}
        for name, model in self.models.items():
            versions = self._versions.get(name, {})
            chosen = model.chosen(number for each, number in found if each == name)
            keeps_others = not any(versions[number].servable for number in chosen & versions.keys())
            for number in sorted(chosen | (versions.keys() if keeps_others else set())):
                if (name, number) in found:
                    wanted[name, number] = found[name, number]
        return wanted

    def _load(self, name: str, number: int, folder: Path, files: _Files) -> None:
        self._put(name, _Version(Status(number, "LOADING"), files))
        try:
            servable = self.load(folder, name, number)
        except Exception as error:  # TensorFlow raises whatever it likes on damaged files
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            _log.warning("%s version %d cannot be loaded: %s", name, number, reason)
            self._put(name, _Version(Status(number, "END", reason), files))
        else:
            _log.info("%s version %d is served", name, number)
            self._put(name, _Version(Status(number, "AVAILABLE"), files, servable))

    def _put(self, name: str, version: _Version) -> None:
        with self._lock:
            self._versions.setdefault(name, {})[version.status.version] = version

    def names(self) -> list[str]:
        """Returns the names of the models that have a version to serve, sorted."""
        with self._lock:
            return sorted(
                name
                for name, versions in self._versions.items()
                if any(each.servable for each in versions.values())
            )

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """Returns a version of a model: of a number, of a label, or the largest there is.

        Raises:
            ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        number = self._labelled(name, label) if label is not None else version
        with self._lock:
            servables = {
                each.servable.version: each.servable
                for each in self._versions.get(name, {}).values()
                if each.servable
            }
        if servables and number is None:
            return servables[max(servables)]
        if number in servables:
            return servables[number]
        wanted = f"Latest({name[:100]})" if number is None else f"Specific({name[:100]}, {number})"
        raise ServingError("NOT_FOUND", f"Servable not found for request: {wanted}; {self._there(name)}")

    def _there(self, name: str) -> str:
        with self._lock:
            versions = sorted(self._versions.get(name, {}))
        if versions:
            return f"versions here are {', '.join(map(str, versions))}"
        return f"models here are {', '.join(self.names()) or 'none yet'}"

    def _labelled(self, name: str, label: str) -> int:
        model = (self.models or {}).get(name)
        if model is None or label not in model.labels:
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label[:100]}")
        return model.labels[label]

    def status(self, name: str, version: int | None = None) -> list[Status]:
        """Returns what is known of the versions of a model, or of one of them; the largest first.

        Raises:
            ServingError: NOT_FOUND.
        """
        with self._lock:
            versions = [each.status for each in self._versions.get(name, {}).values()]
        wanted = [status for status in versions if version in (None, status.version)]
        if not wanted:
            what = "any versions" if version is None else f"version {version}"
            raise ServingError(
                "NOT_FOUND", f"Could not find {what} of model {name[:100]}; {self._there(name)}"
            )
        return sorted(wanted, key=lambda status: -status.version)


def _files(folder: Path) -> _Files:
    """Names, sizes and times of all files in a folder."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:  # renamed or removed meanwhile, or a link that leads nowhere: loading tells
                found.append((path, -1, -1))
            else:
                found.append((path, status.st_size, status.st_mtime_ns))
    return frozenset(found)
