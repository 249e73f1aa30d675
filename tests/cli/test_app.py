"""The command line: exit codes, one line per error, what it imports."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clothret.cli.app import COMMANDS, run
from clothret.cli.base import absolute, table
from clothret.cli.predict import expand

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {"catalog", "lake", "model"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    page = capsys.readouterr().out
    assert "Usage: clothret " + name in page
    assert name in GROUPS or ("--lake" in page and "--json" in page)


def test_readme_shows_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = set(re.findall(r"clothret ([a-z]+)", readme))
    assert set(COMMANDS) <= shown, f"not in README.md: {sorted(set(COMMANDS) - shown)}"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["query", "--catalog", "c"], "give an IMAGE or a --garment-id"),
        (["query", "a.jpg", "--catalog", "c", "--weights", "hue=1"], "weights must look like"),
        (["query", "a.jpg", "--catalog", "c", "--weights", "color=0"], "must not all be 0"),
        (["query", "a.jpg", "--catalog", "c", "--box", "1,2,3"], "expected x1,y1,x2,y2"),
        (["query", "a.jpg", "--catalog", "c", "--garment", "0", "--box", "0,0,9,9"], "not both"),
        (["reindex"], "give the NAME of a catalog, or --all"),
        (["plan", "--items", "0"], "0 is not in the range"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert line in captured.err
    assert captured.err.count("\n") == 1


def test_unknown_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLOTHRET_SEGMENT__SCORE_THRESHOLD", "high")
    assert run(["catalog", "ls"]) == 2
    assert "segment.score_threshold" in capsys.readouterr().err


def test_search_by_garment_imports_neither_torch_nor_prefect() -> None:
    code = (
        "import sys; import clothret.cli.query, clothret.query;"
        "print(sorted({'torch', 'torchvision', 'prefect', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_table_aligns_numbers_to_the_right() -> None:
    rows = [{"name": "a", "count": 5}, {"name": "bcd", "count": 12}]
    assert table(rows, ["name", "count"]) == "name  count\na         5\nbcd      12"


def test_expand_lists_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").touch()
    (tmp_path / "a.jpg").touch()
    (tmp_path / "folder").mkdir()
    assert expand((tmp_path, Path("c.jpg"))) == [
        tmp_path / "a.jpg",
        tmp_path / "b.jpg",
        Path("c.jpg"),
    ]


def test_absolute_leaves_urls_alone() -> None:
    assert absolute("s3://bucket/prefix") == "s3://bucket/prefix"
    assert absolute("pictures") == str(Path.cwd() / "pictures")
