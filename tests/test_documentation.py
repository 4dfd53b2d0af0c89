"""Every command and every piece of code in the documentation is run, or says why it is not."""

import importlib.util
import re
import runpy

import pytest
from documentation import stage
from documentation.blocks import CHECKOUT, RUN, SHOWN, Block, blocks, files
from documentation.running import SLOW, Page
from documentation.shrunk import PORTS, SUBSTITUTIONS

CODE = {file: [block for block in blocks(file) if block.language in RUN] for file in files()}
RUNNING = {file: [block for block in code if not block.reason] for file, code in CODE.items()}
EVERY_TIME = ("README.md", "docs/index.md", "docs/api/index.md")
"""Pages whose fast blocks are run by the fast tests; those of the others would take a minute more."""

FAST = {file: [block for block in RUNNING[file] if not SLOW.search(block.text)] for file in EVERY_TIME}


def test_every_block_is_run_or_says_why_not(capsys):
    run = sum(map(len, RUNNING.values()))
    reasons = [block.reason for code in CODE.values() for block in code if block.reason]
    with capsys.disabled():
        print(f"\nthe documentation has {run} blocks that are run and {len(reasons)} that are not run")
    fences = sum(
        len(re.findall(rf"^ *```(?:{'|'.join(RUN)})\b", (CHECKOUT / file).read_text(), re.MULTILINE))
        for file in files()
    )
    assert run + len(reasons) == fences
    assert run > 0


@pytest.mark.parametrize("file", files())
def test_every_block_names_its_language_and_every_marker_has_a_block(file):
    found = blocks(file)
    unknown = [str(block) for block in found if block.language not in (*RUN, *SHOWN)]
    assert not unknown, f"the language of a block is one of {', '.join((*RUN, *SHOWN))}"
    markers = re.findall(r"^ *<!-- not run", (CHECKOUT / file).read_text(), re.MULTILINE)
    assert len(markers) == sum(block.reason is not None for block in found), (
        "a marker is right above its block"
    )


@pytest.mark.parametrize("pattern", SUBSTITUTIONS)
def test_every_substitution_is_needed(pattern):
    assert any(re.search(pattern, block.text) for code in RUNNING.values() for block in code)


@pytest.fixture
def page(bench, tmp_path, free_ports, monkeypatch):
    """A folder with all that the texts speak of, in which a page runs."""
    stage.fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with Page(tmp_path, dict(zip(PORTS, free_ports(len(PORTS)), strict=True))) as page:
        yield page


@pytest.mark.parametrize(
    ("language", "text", "error"),
    [
        ("sh", "ipt restore nowhere.png --task derain", "nowhere.png does not exist"),
        ("sh", "ipt restore photo.png --task derian", "unknown task|no task 'derian'"),
        ("sh", "true\nls nowhere/", "exit code 2"),
        ("sh", "false | true", "exit code 1"),
        ("python", "assert 1 + 1 == 3", None),
    ],
)
def test_a_block_that_does_not_run_fails(page, language, text, error):
    with pytest.raises(AssertionError, match=error):
        page.run(Block("page.md", 1, language, text, None))


def prepare(file, code, folder):
    """Writes what only some pages need."""
    text = "\n".join(block.text for block in code)
    stage.write_own_tasks(CODE[file], folder)
    if re.search(r"\.pt\b|ipt train|ipt finetune", text):
        stage.write_networks(folder)
    if "tfds:" in text:
        stage.write_datasets(folder)


@pytest.mark.parametrize("file", EVERY_TIME)
def test_the_fast_blocks_of_a_page_run(file, page):
    prepare(file, FAST[file], page.folder)
    for block in FAST[file]:
        page.run(block)


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file, code in RUNNING.items() if code != FAST.get(file, [])])
def test_all_blocks_of_a_page_run(file, page):
    text = "\n".join(block.text for block in RUNNING[file])
    for module, needed in {"tensorflow_datasets": "tfds:", "tensorflow_serving": "ipt serve"}.items():
        if needed in text and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    prepare(file, RUNNING[file], page.folder)
    for block in RUNNING[file]:
        page.run(block)


@pytest.mark.parametrize("name", ["README", "CARD"])
def test_the_figures_of_a_page_are_those_that_were_measured(name):
    script = runpy.run_path(str(CHECKOUT / "docs/write_tables.py"))
    page = script[name].read_text()
    assert script["with_tables"](page, script["read"]([script["FIGURES"]])) == page
    other = page.replace("| Set5 | sr_x2 | ", "| Set5 | sr_x2 | 1")
    assert other != page
    assert script["with_tables"](other, script["read"]([script["FIGURES"]])) == page
