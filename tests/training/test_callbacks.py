import pytest
from support.runs import SHORT, run

from kattn.training.callbacks import TrainingDiverged


def test_a_loss_that_is_no_number_stops_with_a_hint_and_is_not_saved(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"The loss became (nan|inf) in epoch 1, step \d+.*lower learning_rate"):
        run(tmp_path / "r", recipe={**SHORT, "learning_rate": 1e6})
    assert not (tmp_path / "r" / "last.weights.h5").exists()
