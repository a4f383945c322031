"""Packaging: an installed symc contains every module and data file of the source tree."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUP = PROJECT["tool"]["setuptools"]


def folder_of(package):
    head, *rest = package.split(".")
    return ROOT.joinpath(SETUP["package-dir"][head], *rest)


def test_every_package_is_listed():
    found = set()
    for name, folder in SETUP["package-dir"].items():
        for path in (ROOT / folder).rglob("*.py"):
            found.add(".".join([name, *path.parent.relative_to(ROOT / folder).parts]))
    assert found == set(SETUP["packages"])
    assert all((folder_of(package) / "__init__.py").exists() for package in found)


def test_every_other_file_is_package_data():
    patterns = [(folder_of(package), pattern) for package, all_ in SETUP["package-data"].items() for pattern in all_]
    for folder in SETUP["package-dir"].values():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                fits = [fnmatch(str(path.relative_to(base)), p) for base, p in patterns if path.is_relative_to(base)]
                assert any(fits), f"{path.relative_to(ROOT)} would not be installed"


def test_version_is_one():
    import symc

    assert symc.__version__ == PROJECT["project"]["version"]


def test_every_back_end_is_shipped():
    from symc.runtime.backend import available

    listed = PROJECT["project"]["entry-points"]["symc.backends"]
    assert listed.items() <= available().items()
