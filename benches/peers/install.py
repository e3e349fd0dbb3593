"""Brings the peers, the photographs and our own program onto this machine, all of it under target/peers/.

Each step leaves its result behind and is skipped the next time, except our own program, which cargo builds again when
the sources have changed. Only ImageMagick is installed for the whole machine: its Debian package cannot live elsewhere.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv

import versions

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "peers"
PYTHON = WORK / "venv" / "bin" / "python"
NODE_MODULES = WORK / "node" / "node_modules"
PHOTOGRAPHS = WORK / "photographs"


def once(name, wanted, step):
    """Runs `step` unless it has been done for this very `wanted`."""
    stamp = WORK / f"{name}.done"
    if not (stamp.exists() and stamp.read_text() == repr(wanted)):
        print(f"installing: {name}", file=sys.stderr, flush=True)
        step()
        stamp.write_text(repr(wanted))


def python_packages(environment, packages):
    """Into a virtual environment of that name."""
    venv.create(WORK / environment, with_pip=True, clear=True)
    python = WORK / environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)


def node_packages(directory, packages):
    (WORK / directory).mkdir(exist_ok=True)
    command = ["npm", "install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix", WORK / directory, *packages]
    subprocess.run(command, check=True, stdout=sys.stderr)


def pictures():
    """The pictures that are timed, as pictures.py describes them: made once, of the photographs and by Pillow."""
    script = HERE / "pictures.py"
    once("python", versions.PYTHON_PACKAGES, lambda: python_packages("venv", versions.PYTHON_PACKAGES))
    once("photographs", versions.PHOTOGRAPHS, photographs)
    command = [PYTHON, script, PHOTOGRAPHS, WORK / "pictures"]
    once("pictures", script.read_text(), lambda: subprocess.run(command, check=True))
    return json.loads((WORK / "pictures" / "pictures.json").read_text())


def photographs():
    """Unpacks the packages without installing them. Their scripts do not run."""
    debs = WORK / "debs"
    debs.mkdir(exist_ok=True)
    if subprocess.run(["apt-cache", "show", *versions.PHOTOGRAPHS], capture_output=True).returncode != 0:
        subprocess.run(["apt-get", "update", "--quiet=2"], check=True)
    # As the user who runs this: apt's own user could not write here.
    command = ["apt-get", "download", "--quiet=2", "--option", "APT::Sandbox::User=", *versions.PHOTOGRAPHS]
    subprocess.run(command, check=True, cwd=debs, stdout=sys.stderr)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg", "-x", deb, PHOTOGRAPHS], check=True)


def imagemagick():
    """The program, or None where it cannot be had. Version 7 calls it magick; 6 is a link to a name of its own in Debian."""
    names = ["magick", "convert-im6.q16"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing: ImageMagick", file=sys.stderr, flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", versions.IMAGEMAGICK]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = next(filter(None, map(shutil.which, names)), None)
    return found


def cargo(directory):
    """Builds the package in that directory; where its programs are."""
    command = ["cargo", "build", "--release", "--quiet", "--manifest-path", directory / "Cargo.toml"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(WORK / "cargo")}
    print(f"building: {directory.relative_to(ROOT)}", file=sys.stderr, flush=True)
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = next(line.split()[1] for line in host.splitlines() if line.startswith("host:"))
    return WORK / "cargo" / host / "release"


def ours():
    """Our thumbnails, compiled exactly as in the worker: the same profile, and the same versions of all dependencies."""
    return cargo(HERE / "ours") / "peers-ours"
