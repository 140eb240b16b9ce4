"""Training by recipe: `train`, `open_run`, recipes, and what runs them."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.runs.folder import RunError as RunError
    from kattn.training.callbacks import TrainingDiverged as TrainingDiverged
    from kattn.training.devices import DevicesError as DevicesError
    from kattn.training.devices import devices_for as devices_for
    from kattn.training.fitting import compile_for as compile_for
    from kattn.training.kinds import class_weights as class_weights
    from kattn.training.rates import Rates as Rates
    from kattn.training.rates import find_rate as find_rate
    from kattn.training.recipes import Recipe as Recipe
    from kattn.training.recipes import list_recipes as list_recipes
    from kattn.training.recipes import load_recipe as load_recipe
    from kattn.training.run import Run as Run
    from kattn.training.run import open_run as open_run
    from kattn.training.run import train as train

__getattr__, __dir__ = face(
    __name__,
    {
        "DevicesError": "devices",
        "Rates": "rates",
        "Recipe": "recipes",
        "Run": "run",
        "RunError": "run",
        "TrainingDiverged": "callbacks",
        "class_weights": "kinds",
        "compile_for": "fitting",
        "devices_for": "devices",
        "find_rate": "rates",
        "list_recipes": "recipes",
        "load_recipe": "recipes",
        "open_run": "run",
        "train": "run",
    },
)
