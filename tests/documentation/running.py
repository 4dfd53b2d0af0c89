"""Runs the blocks of one page, one after the other, in one folder and one Python namespace."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from documentation.blocks import CHECKOUT, Block
from documentation.shrunk import shrunk

from ipt_tf.cli import main

SLOW = re.compile(r"ipt (train|finetune|export|serve|evaluate)|pretrain\(|\.fit\(|runs/|localhost")
"""Blocks that take long, or need what such blocks wrote."""

_LONGEST = 500  # seconds


class Page:
    """A page that is being run.

    Args:
        folder: where its commands find and leave files; the process must be there already.
        ports: free ones, by the names that substitutions have for them.
    """

    def __init__(self, folder: Path, ports: dict[str, int]):
        self.folder = folder
        self.ports = ports
        self.names: dict[str, Any] = {"__name__": "documentation"}
        self.servers: list[subprocess.Popen] = []

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_) -> None:
        for server in self.servers:
            server.terminate()
            server.communicate()

    def run(self, block: Block) -> None:
        """Runs a block as it stands, but shrunk; fails where a command or the code fails."""
        text = shrunk(block.text, **self.ports)
        if block.language == "python":
            exec(compile(text, str(block), "exec"), self.names)
        elif "\n  " in text.replace("\\\n", "") or re.search(r"[&|;$<>]", re.sub("#.*", "", text)):
            self._shell(block, text)
        else:
            for line in text.replace("\\\n", " ").splitlines():
                self._command(block, line)

    def _command(self, block: Block, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[:2] == ["ipt", "serve"]:
            self._serve(line)
        elif words[:1] == ["ipt"] and "--strategy" not in words:
            self._ipt(block, words[1:])
        elif words:  # a strategy too: devices are arranged where TensorFlow has not used them yet
            self._shell(block, line)

    def _ipt(self, block: Block, arguments: list[str]) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                code = main(arguments)
            except SystemExit as error:
                code = error.code
        assert code in (0, None), f"{block}: ipt {shlex.join(arguments)}: exit code {code}\n{said.getvalue()}"

    def _shell(self, block: Block, command: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST,
        )
        assert done.returncode == 0, f"{block}: {command}: exit code {done.returncode}\n{done.stdout}"

    def _serve(self, command: str) -> None:
        """Starts a server, which runs to the end of the page, and waits for it to say that it serves."""
        started = ["bash", "-euo", "pipefail", "-c", f"exec {command}"]
        server = subprocess.Popen(started, env=self._environment(), stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert " serve " in server.stdout.readline(), f"{command}: did not start"

    def _environment(self) -> dict[str, str]:
        paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": CHECKOUT}
        joined = {name: f"{path}{os.pathsep}{os.environ.get(name, '')}" for name, path in paths.items()}
        return {**os.environ, **joined}
