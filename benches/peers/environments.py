"""Virtual environments with the peers at fixed versions.

In: names of peers, whose files say in which environment they live and which packages they need. Out: the Python of each, or
why there is none. The environments lie in the user's cache, so that all checkouts share them, and are built once; what
cannot be installed is reported and left out.
"""

import ast
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loopweave" / "peers"

# What the runner itself needs, for references and reports.
RUNNER = ["numpy==2.4.6", "scipy==1.17.1"]


def constant(peer: str, name: str, default=None):
    """A constant of a peer's file, read without importing it, as its packages may not be there yet."""
    for node in ast.parse((HERE / f"peer_{peer}.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return default


def python(environment: str) -> Path:
    return CACHE / environment / "bin" / "python"


def runner() -> Path:
    """The Python that measures and reports."""
    install("main", RUNNER, None)
    return python("main")


def prepare(peers: list[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The Python of each peer, and of those that have none the reason."""
    ready, missing = {}, {}
    for peer in peers:
        environment = constant(peer, "ENVIRONMENT")
        try:
            install(environment, constant(peer, "PACKAGES"), constant(peer, "INDEX"))
            ready[peer] = python(environment)
        except (OSError, subprocess.SubprocessError) as error:
            missing[peer] = f"cannot be installed: {last_line(error)}"
    return ready, missing


def install(environment: str, packages: list[str], index: str | None):
    """Sees to it that an environment has these packages."""
    folder = CACHE / environment
    stamp = folder / "packages.txt"
    known = stamp.read_text().split() if stamp.exists() else []
    lacking = [package for package in packages if package not in known]
    if not lacking:
        return
    print(f"installing {' '.join(lacking)} into {folder}", file=sys.stderr)
    if not python(environment).exists():
        venv.create(folder, with_pip=True)
    # The whole list, so that no package moves another's version.
    pip = [python(environment), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    # One try: where the index cannot be reached, PyPI follows at once.
    own = [*pip, "--retries", "0", "--timeout", "10", "--index-url", index, "--extra-index-url", "https://pypi.org/simple"]
    if index is None or subprocess.run(own, capture_output=True).returncode:
        subprocess.run(pip, check=True, capture_output=True, text=True)
    stamp.write_text("\n".join(dict.fromkeys([*known, *packages])))


def last_line(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return text.strip().splitlines()[-1]
