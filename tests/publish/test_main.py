"""The maintainers' programs print their help, and write into a checkout only."""

import pytest

from kattn.publish import checkout
from kattn.publish.__main__ import main

PROGRAMS = {"catalog": [], "runs": ["run", "--machine", "a test's"], "results": [], "blocks": []}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As if the package lay in a site-packages inside a checkout, as README's first command puts it."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "kattn"\n')
    (tmp_path / "zoo").mkdir()
    package = tmp_path / ".venv" / "site-packages" / "kattn"
    (package / "zoo").mkdir(parents=True)
    monkeypatch.setattr(checkout, "PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_only_prints(installed, capsys, program):
    before = sorted(installed.rglob("*"))
    for arguments in (["--help"], [program, "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    assert program in capsys.readouterr().out
    assert sorted(installed.rglob("*")) == before


@pytest.mark.parametrize("program", PROGRAMS)
def test_outside_a_checkout_nothing_is_written(installed, capsys, program):
    before = sorted(installed.rglob("*"))
    assert main([program, *PROGRAMS[program]]) == 1
    error = capsys.readouterr().err
    assert "site-packages" in error and "Run it in a checkout" in error and len(error.splitlines()) == 1
    assert sorted(installed.rglob("*")) == before


@pytest.mark.parametrize("arguments", [["results", "{}"], ["blocks", "{}/blocks.md"], ["blocks", "../blocks.md"]])
def test_a_page_outside_the_checkout_is_refused(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(checkout.root())
    assert main([part.format(tmp_path) for part in arguments]) == 1
    assert "into the checkout" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_project_of_that_shape_is_no_checkout_of_kattn(installed, monkeypatch):
    monkeypatch.setattr(checkout, "PACKAGE", installed / "kattn")
    assert checkout.root() == installed
    (installed / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(checkout.CheckoutError, match=r"no pyproject.toml of kattn"):
        checkout.root()
