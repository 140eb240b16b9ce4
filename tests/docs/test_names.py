"""Names, arguments and commands that the pages speak of exist."""

import ast
import importlib
import inspect
import re
import shlex

import pytest
from support.pages import PAGES, SHELL, blocks_of

from kattn.cli.main import build_parser

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def inline(name):
    """The code inside a page's sentences."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", PAGES[name].read_text(encoding="utf-8")))


def resolved(dotted):
    """What a dotted name names; a module that nothing has imported yet is imported."""
    first, *rest = dotted.split(".")
    found = importlib.import_module(first)
    for number, part in enumerate(rest, start=1):
        if not hasattr(found, part):
            importlib.import_module(".".join([first, *rest[:number]]))
        found = getattr(found, part)
    return found


def calls(code):
    """The calls of kattn's functions in Python code: the dotted name, and the names of the arguments."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(r"kattn(\.\w+)+", ast.unparse(node.func)):
            yield ast.unparse(node.func), [each.arg for each in node.keywords if each.arg]


@pytest.mark.parametrize("name", PAGES)
def test_names_of_kattn_exist(name):
    for code in inline(name):
        for dotted in re.findall(r"\bkattn(?:\.[A-Za-z_]\w*)+(?![\w/-])", code):
            if not re.search(r"\.(toml|md|csv|py)$", dotted) and f"-m {dotted}" not in code:
                resolved(dotted)


@pytest.mark.parametrize("name", PAGES)
def test_arguments_exist(name):
    for code in [*inline(name), *(block.text for block in blocks_of(PAGES[name]) if block.language == "python")]:
        for dotted, given in calls(code):
            parameters = inspect.signature(resolved(dotted)).parameters.values()
            if not any(each.kind is each.VAR_KEYWORD for each in parameters):
                assert set(given) <= {each.name for each in parameters}, code


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_their_options_exist(name):
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for code in inline(name):
        if (words := code.split())[:1] == ["kattn"] and len(words) > 1 and words[1][0] != "-":
            options = {option for action in commands[words[1]]._actions for option in action.option_strings}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, code
    for block in blocks_of(PAGES[name]):
        if block.language in SHELL:
            for line in re.sub(r"\\\n", " ", block.text).splitlines():
                words = shlex.split(line, comments=True)
                if "kattn" in words:
                    build_parser().parse_args(words[words.index("kattn") + 1 :])
