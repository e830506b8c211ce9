"""Makes the bundles of the live figures, for those who change one: their readers need no Node.

``make bundles`` brings esbuild with npm, in the version of ``package.json``, and runs this: it
writes one file for each figure into ``built/``. The first line of a bundle says of what it was
made, so that a test can tell whether it is what the sources give without making it again.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / "built"
FIGURES = ("budget", "episode", "noise", "race", "ravine", "saddle_map", "staircase")
TOOL = HERE / "node_modules" / ".bin" / "esbuild"
IMPORT = re.compile(r"""^(?:import|export)\b[^;"'()]*?\bfrom ["']([^"']+)["'];$""", re.MULTILINE)


def sources(name: str) -> list[Path]:
    """The modules of which a figure is made, itself first, each once."""
    found = [HERE / f"{name}.js"]
    for path in found:
        for other in IMPORT.findall(path.read_text(encoding="utf-8")):
            if not other.startswith("."):
                raise ValueError(f"{path.name} imports {other}, which is no file of this folder")
            module = (path.parent / other).resolve()
            if module not in found:
                found.append(module)
    return found


def digest(*texts: str) -> str:
    """A short name for texts: others have another."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def stamp(name: str, text: str, version: str) -> str:
    """The first line of a bundle: its sources, and the names of their texts and of its own."""
    modules = sources(name)
    places = " ".join(path.relative_to(HERE).as_posix() for path in modules)
    made_of = digest(*(path.read_text(encoding="utf-8") for path in modules))
    return f"// esbuild {version}, of {places}: {made_of} {digest(text)}\n"


def options(name: str) -> list[str]:
    """What esbuild is asked for: one small module with every letter as it is written."""
    return [str(HERE / f"{name}.js"), "--bundle", "--minify", "--format=esm", "--charset=utf8",
            "--log-level=warning"]


def build(name: str) -> Path:
    """Write the bundle of one figure."""
    if not TOOL.exists():
        raise SystemExit(f"there is no esbuild: run npm ci in {HERE}")
    run = subprocess.run([TOOL, *options(name)], capture_output=True, text=True, encoding="utf-8",
                         check=False)
    if run.returncode or run.stderr:
        raise SystemExit(run.stderr)
    version = subprocess.run([TOOL, "--version"], capture_output=True, text=True,
                             check=True).stdout.strip()
    BUILT.mkdir(exist_ok=True)
    path = BUILT / f"{name}.js"
    path.write_text(stamp(name, run.stdout, version) + run.stdout, encoding="utf-8")
    return path


def main():
    """Write all bundles and say how large they are."""
    for name in FIGURES:
        path = build(name)
        print(f"{path.relative_to(HERE)}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
