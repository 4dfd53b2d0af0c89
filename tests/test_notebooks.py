"""The tutorials as they are committed: whole, in order, with pictures, and nothing of the machine they ran on."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return json.loads(path.read_text())["cells"]


@pytest.fixture
def code(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_seven_and_the_readme_lists_them():
    readme = (FOLDER / "README.md").read_text()
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, 8)]
    assert re.findall(r"\]\((\w+\.ipynb)\)", readme) == [path.name for path in NOTEBOOKS]


def test_the_first_cell_installs_the_package_where_it_is_missing(code):
    first = "".join(code[0]["source"])
    assert 'if importlib.util.find_spec("ipt_tf") is None:' in first
    assert re.search(r'%pip install --quiet "\.\.\[[a-z,]+\]"', first)
    assert not any("pip install" in "".join(cell["source"]) for cell in code[1:])


def test_it_was_run_from_top_to_bottom_and_has_pictures(code):
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any(kind.startswith("image/") for output in outputs for kind in output.get("data", {}))


def test_it_is_small_and_says_nothing_of_the_machine(path, code):
    assert path.stat().st_size < 1_000_000
    printed = [
        "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
        for cell in code
        for output in cell["outputs"]
    ]
    for text in printed:
        assert not re.search(r"(^|[\s'\"(=])/(home|root|tmp|work|usr|opt|var|Users)/", text), text


def test_it_links_to_pages_that_exist(cells):
    prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        assert target.startswith("https://") or (FOLDER / target).exists()
