"""Versions of packages."""

from importlib import metadata

from kattn.version import versions


def test_installed_packages_are_named_and_others_left_out():
    found = versions(["numpy", "no-such-package"])
    assert found["numpy"] == metadata.version("numpy")
    assert {"kattn", "python", "machine"} <= set(found) and "no-such-package" not in found
