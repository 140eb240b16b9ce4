"""Classes that a model's configuration names and this process does not know."""

from __future__ import annotations

from typing import Any

import keras


def missing_classes(config: Any) -> list[str]:
    """The registered names of a configuration's layers of one's own that Keras does not know here, each once.

    Args:
        config: As `model.get_config` or a model's JSON holds it.
    """
    found: dict[str, None] = {}
    waiting = [config]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, dict):
            name, module = one.get("registered_name"), str(one.get("module") or "")
            if isinstance(name, str) and module.partition(".")[0] != "keras" and "class_name" in one:
                found |= {} if keras.saving.get_registered_object(name) is not None else {name: None}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return list(found)
