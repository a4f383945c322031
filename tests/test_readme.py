"""The README: its code runs, its commands are those that are tested, its links exist."""

import dataclasses
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = dict(re.findall(r"^<!-- command: (\w+) -->\n```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE))


PHOTOGRAPHS = re.search(r"^<!-- photographs -->\n```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize("number", [k for k, code in enumerate(PYTHON) if code != PHOTOGRAPHS])
def test_code(number):
    exec(compile(PYTHON[number], f"README.md, block {number}", "exec"), {"__name__": "readme"})


def test_photographs(tmp_path, monkeypatch, capsys):
    """The code for photographs as it stands, on drawn pictures and a base with random weights."""
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    from test_examples import draw_photographs

    from lasagne_like.models import vgg

    draw_photographs(tmp_path / "photos", 8, np.random.RandomState(0))
    monkeypatch.setattr(vgg, "load_into", lambda model, weights, *_: with_preprocessing(model))
    monkeypatch.chdir(tmp_path)
    assert len(PHOTOGRAPHS.strip().splitlines()) < 40
    exec(compile(PHOTOGRAPHS, "README.md, photographs", "exec"), {"__name__": "readme"})
    out = capsys.readouterr().out
    assert "trained 131,842 of 14,846,530 parameters" in out and "blob" in out and "stripes" in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "photos", "photos.safetensors", "curves.png", "mistakes.png", "reasons.png"
    }  # fmt: skip


def with_preprocessing(model):
    from lasagne_like.models import IMAGENET_BGR

    model.preprocess = dataclasses.replace(IMAGENET_BGR, resize=160, crop=160)
    return model


def test_there_is_code():
    assert len(PYTHON) >= 3 and README.count("```") == 2 * (len(PYTHON) + len(COMMANDS))


def test_exactly_two_commands_of_one_line():
    assert list(COMMANDS) == ["train", "test"]
    assert all(command.count("\n") == 1 for command in COMMANDS.values())
    assert "examples/mnist.py" in COMMANDS["train"] and "pytest" in COMMANDS["test"]


def test_extras_and_files_of_the_commands_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for command in COMMANDS.values():
        assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras)
        assert all((ROOT / name).exists() for name in re.findall(r"[\w/]+\.py\b", command))


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("awk") is None, reason="needs bash and awk")
def test_ci_runs_the_same_command():
    shown = subprocess.run(["bash", ROOT / ".ci" / "run", "--show"], capture_output=True, text=True, check=True)
    assert shown.stdout == COMMANDS["test"]


def test_links():
    found = re.findall(r"\]\(([^)#]+)\)", README)
    assert found
    missing = [name for name in found if "://" not in name and not (ROOT / name).exists()]
    assert not missing
