"""A release can be made: one version everywhere, and archives that install and hold what they should."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tfxai.version import __version__

ROOT = Path(__file__).parent.parent


def test_the_version_stands_in_one_place_and_is_told_in_two():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: tfxai.version.__version__"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [__version__]
    newest = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert __version__ in newest


def test_whoever_cites_finds_what_the_form_asks_for():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    fields = {line.partition(":")[0] for line in lines if line[:1].isalpha()}
    assert fields >= {"cff-version", "message", "title", "authors", "version", "license"}
    licence = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert "license: Apache-2.0" in lines and "license = Apache-2.0" in licence


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> list[Path]:
    """The sdist and the wheel that is made of it, as `python -m build` makes them."""
    for needed, version in {"build": None, "twine": None, "setuptools": "70.1"}.items():
        pytest.importorskip(needed, version, reason='pip install ".[release]"')
    tree, folder = tmp_path_factory.mktemp("tree") / "tfxai", tmp_path_factory.mktemp("dist")
    left = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "gallery", "_build")
    shutil.copytree(ROOT, tree, ignore=left)  # building writes beside the code
    # Without isolation: nothing is fetched.
    ran([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, tree])
    return sorted(folder.iterdir())


def ran(command: list, **options) -> str:
    ended = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, **options
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_archives_pass_the_check_of_the_index(archives):
    assert [path.name for path in archives] == [
        f"tfxai-{__version__}-py3-none-any.whl",
        f"tfxai-{__version__}.tar.gz",
    ]
    assert ran([sys.executable, "-m", "twine", "check", "--strict", *archives]).count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_nothing_else(archives):
    with zipfile.ZipFile(archives[0]) as archive:
        names = archive.namelist()
    assert {"tfxai/py.typed", f"tfxai-{__version__}.dist-info/licenses/LICENSE"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"tfxai", f"tfxai-{__version__}.dist-info"}
    written = {
        f"tfxai/{path.relative_to(ROOT / 'tfxai').as_posix()}" for path in (ROOT / "tfxai").rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == written


@pytest.mark.slow
def test_the_sdist_holds_what_it_takes_to_build_and_to_check(archives):
    with tarfile.open(archives[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "setup.cfg", "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"}
    assert needed | {"docs/guide.md", "examples/explain_imagenet.py", "tests/test_readme.py"} <= names
    assert not any("gallery/" in name or "_build" in name or name.endswith(".pyc") for name in names)


@pytest.mark.slow
def test_the_wheel_installs_and_its_command_tells_the_version(archives, tmp_path):
    ran([sys.executable, "-m", "venv", tmp_path / "fresh"])
    programs = tmp_path / "fresh" / ("Scripts" if os.name == "nt" else "bin")
    quiet = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran([programs / "python", "-m", "pip", "install", *quiet, archives[0]], cwd=tmp_path, env=environment)
    told = ran([programs / "tfxai", "--version"], cwd=tmp_path, env=environment)
    assert __version__ in told
