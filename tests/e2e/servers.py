"""Notebook servers on a loopback port with folders of their own: nothing of the user's is read or written."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 15
_POLL_S = 0.1
_NO_NEWS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": False},
}


@dataclass(frozen=True)
class Server:
    """A running server: its address, the folder it serves, its process and what it printed."""

    url: str
    root: Path
    pid: int
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_folders(home: Path) -> dict[str, str]:
    """Return an environment whose Jupyter, IPython and marimo folders all lie in `home`."""
    env = dict(os.environ)
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        env[f"JUPYTER_{name}"] = str(home / name.lower())
    env["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
    env["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    env["IPYTHONDIR"] = str(home / "ipython")
    env["XDG_CONFIG_HOME"] = str(home / "xdg_config")
    env["XDG_STATE_HOME"] = str(home / "xdg_state")
    env["JUPYTER_PREFER_ENV_PATH"] = "1"
    overrides = home / "config_dir" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps(_NO_NEWS), encoding="utf-8")
    return env


@contextmanager
def jupyter(root: Path, home: Path, *, app: str = "lab", open_browser: str | None = None) -> Iterator[Server]:
    """Run JupyterLab (`app="lab"`) or Notebook 7 (`app="notebook"`) on the folder `root`."""
    port = free_port()
    trait = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
    command = [
        sys.executable, "-m", "jupyter", app, "--allow-root",
        f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={root}",
        f"--{trait}.expose_app_in_browser=True", "--LanguageServerManager.autodetect=False",
    ]  # fmt: skip
    if app == "lab":
        command += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += [f"--{trait}.default_url={open_browser}"] if open_browser else ["--no-browser"]
    with _running(command, f"http://127.0.0.1:{port}", "/api/status", root, home) as server:
        yield server


@contextmanager
def marimo(file: Path, home: Path) -> Iterator[Server]:
    """Run one marimo notebook as an app."""
    port = free_port()
    command = [
        sys.executable, "-m", "marimo", "-q", "run", str(file),
        "--headless", "--no-token", "--host=127.0.0.1", f"--port={port}",
    ]  # fmt: skip
    with _running(command, f"http://127.0.0.1:{port}", "/health", file.parent, home) as server:
        yield server


@contextmanager
def voila(notebook: Path, home: Path) -> Iterator[Server]:
    """Run one notebook as a page of Voila."""
    port = free_port()
    command = [
        sys.executable, "-m", "voila", str(notebook),
        "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}", "--token=",
    ]  # fmt: skip
    # The page itself runs the notebook: a script of Voila's says as well that it is there.
    with _running(command, f"http://127.0.0.1:{port}", "/voila/static/voila.js", notebook.parent, home) as server:
        yield server


@contextmanager
def _running(command: list[str], url: str, health: str, root: Path, home: Path) -> Iterator[Server]:
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=own_folders(home),
            cwd=root,
            start_new_session=True,
        )
    try:
        _await_answer(process, url + health, log)
        yield Server(url, root, process.pid, log)
    finally:
        _stop(process)


def _await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"{url} did not answer; the server printed:\n{text}") from None
            time.sleep(_POLL_S)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and what it started: its own process group, nothing else."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT_S)
