"""Errors for unknown names."""

from kattn.suggest import closest, unknown


def test_the_closest_names_come_first():
    assert closest("resnet5", ["vgg16", "resnet50", "resnet18"])[0] == "resnet50"
    assert closest("zzz", ["vgg16"]) == []


def test_the_error_says_what_came_and_what_there_is():
    text = str(unknown("recipe", "quik", ["quick", "adamw"]))
    assert text == "Unknown recipe 'quik'. Closest: quick. All names: quick, adamw."
    assert str(unknown("model", 7, ["a"], "See kattn list")) == "Unknown model 7. See kattn list."
