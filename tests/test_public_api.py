"""What users could reach before is still there: names, parameters, options of commands, registered names."""

import ast
import json

import pytest
from support import TESTS
from support.public_api import describe, parameters

import kattn

BEFORE = json.loads((TESTS / "data" / "before" / "public_api.json").read_text())

# The modules kattn.data, kattn.training ... of before are packages now. These are the names of theirs that users had a
# use for; the others were helpers of the package, which no page named.
USED = {
    "kattn.data": {"DataError", "Dataset", "Split", "load"},
    "kattn.evaluation": {
        "AttributeEvaluation",
        "Evaluation",
        "calibration_error",
        "evaluate",
        "measure",
        "measure_attributes",
    },
    "kattn.insertion": {"insert"},
    "kattn.training": {
        "Recipe",
        "Run",
        "RunError",
        "compile_for",
        "devices_for",
        "load_recipe",
        "open_run",
        "train",
    },
    "kattn.tuning": {"AttentionHyperModel", "Search", "SearchError", "tune"},
}


@pytest.fixture(scope="module")
def today():
    return describe()


def arguments(signature):
    """Parameters of a signature that is written as text: name -> (kind, default)."""
    found = ast.parse(f"def f{signature}: pass").body[0].args
    positional = [*found.posonlyargs, *found.args]
    defaults = [None] * (len(positional) - len(found.defaults)) + found.defaults
    pairs = [(each, "positional", default) for each, default in zip(positional, defaults, strict=True)]
    pairs += [(each, "keyword", default) for each, default in zip(found.kwonlyargs, found.kw_defaults, strict=True)]
    pairs += [(each, "all positional", ast.Constant(0)) for each in [found.vararg] if each]
    pairs += [(each, "all keyword", ast.Constant(0)) for each in [found.kwarg] if each]
    return {each.arg: (kind, None if default is None else ast.unparse(default)) for each, kind, default in pairs}


def changes(before, after):
    """What calls that went with one signature meet in another."""
    old, new = arguments(before), arguments(after)
    for name, (kind, default) in old.items():
        if name not in new:
            yield f"{name} is gone"
        elif new[name] != (kind, default) and (new[name][0], kind, new[name][1]) != ("positional", "keyword", default):
            yield f"{name} was {kind}, default {default}; is {new[name][0]}, default {new[name][1]}"
    places = [[name for name, (kind, _) in each.items() if kind == "positional"] for each in (old, new)]
    if places[1][: len(places[0])] != places[0]:
        yield f"positional parameters were {places[0]}, are {places[1]}"
    yield from (f"{name} is new and has no default" for name in new.keys() - old.keys() if new[name][1] is None)


def changes_of_value(before, after):
    """What users of a function or a class meet."""
    if isinstance(before, str) or isinstance(after, str):
        yield from changes(before, after) if type(before) is type(after) else ["a class became a function, or back"]
        return
    yield from changes(before["constructor"], after["constructor"])
    yield from (f"property {name} is gone" for name in set(before["properties"]) - set(after["properties"]))
    for name, signature in before["methods"].items():
        if name not in after["methods"]:
            yield f"method {name} is gone"
        else:
            yield from (f"method {name}: {change}" for change in changes(signature, after["methods"][name]))


def test_every_public_name_is_there_and_is_called_as_before(today):
    found = []
    for face, names in BEFORE["names"].items():
        for name, before in names.items():
            if name in USED.get(face, names):
                now = today["names"][face].get(name)
                problems = ["is gone"] if now is None else changes_of_value(before, now)
                found += [f"{face}.{name}: {problem}" for problem in problems]
    assert not found, "\n".join(found)


def test_every_model_is_there_with_its_options(today):
    assert set(BEFORE["models"]) <= set(today["models"])
    found = [
        f"{name}: {change}"
        for name, before in BEFORE["builders"].items()
        for change in changes(before, parameters(getattr(kattn.zoo, name)))
    ]
    assert not found, "\n".join(found)


def test_every_option_of_the_command_line_is_there(today):
    found = []
    for command, options in BEFORE["commands"].items():
        for name, before in options.items():
            now = today["commands"].get(command, {}).get(name)
            if now is None:
                found.append(f"kattn {command} {name} is gone")
                continue
            lost = set(before["choices"] or ()) - set(now["choices"] or ()) if now["choices"] else set()
            same_default = now["default"] in (before["default"], "None")  # None: the command works it out
            if lost or before["nargs"] != now["nargs"] or not same_default:
                found.append(f"kattn {command} {name} was {before}, is {now}")
            if now["required"] and not before["required"]:
                found.append(f"kattn {command} {name} must be given now")
    for command, options in today["commands"].items():
        new = options.keys() - BEFORE["commands"].get(command, options).keys()
        found += [f"kattn {command} {name} is new and must be given" for name in new if options[name]["required"]]
    assert not found, "\n".join(found)


def test_every_registered_name_is_there(today):
    assert set(BEFORE["registered"]) <= set(today["registered"])


@pytest.mark.parametrize(
    ("before", "after", "problems"),
    [
        ("(a, b=1)", "(a, b=1, *, c=2)", []),
        ("(a, *, b=1)", "(a, b=1)", []),
        ("(a, b=1)", "(a, *, b=1)", ["b was positional, default 1; is keyword", "positional parameters were"]),
        ("(a)", "(a, b)", ["b is new and has no default"]),
        ("(a, b=1)", "(a, b=2)", ["b was positional, default 1; is positional, default 2"]),
        ("(a, b=1)", "(b=1, a=1)", ["a was positional, default None", "positional parameters were ['a', 'b']"]),
        ("(a, **options)", "(a)", ["options is gone"]),
    ],
)
def test_a_change_that_breaks_a_call_is_seen(before, after, problems):
    found = list(changes(before, after))
    assert len(found) == len(problems)
    assert all(text.startswith(problem) for text, problem in zip(found, problems, strict=True))
