"""What `kattn.explain` offers, whatever was imported before."""

import importlib
import pkgutil
import subprocess
import sys

from kattn import explain


def test_the_face_shows_functions_and_nothing_else():
    public = dir(explain)
    assert {"cam", "grad_cam", "attention", "report", "overlay", "ChannelCorrelationLog"} <= set(public)
    modules = [module.name for module in pkgutil.walk_packages(explain.__path__, f"{explain.__name__}.")]
    for module in modules:
        importlib.import_module(module)
    assert all(callable(getattr(explain, name)) for name in public)
    assert not {module.rpartition(".")[2] for module in modules} & set(public)


def test_importing_the_face_imports_nothing_else():
    code = "import sys, kattn.explain\nassert not {'keras', 'numpy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
