"""What a comparison says: nothing that its intervals do not say."""

import re

import pytest
from support.comparing import made_up_plan

from kattn.comparison.results import collect


def said(tmp_path, **values):
    return collect(made_up_plan(tmp_path, values)).sentences


def test_an_interval_across_zero_is_no_difference_seen(tmp_path):
    (sentence,) = said(tmp_path, resnet20=[0.90, 0.92, 0.91], se_resnet20=[0.91, 0.92, 0.92])
    assert sentence.startswith(
        "se_resnet20: no difference from resnet20 seen at this budget (+0.67 points; 95% interval"
    )
    assert re.search(r"-0\.77 to \+2\.10 points over 3 seeds", sentence)


@pytest.mark.parametrize(("step", "word"), [(0.02, "higher"), (-0.02, "lower")])
def test_an_interval_on_one_side_says_which(tmp_path, step, word):
    plain = [0.90, 0.92, 0.91]
    values = [value + step + wobble for value, wobble in zip(plain, (0, 0.001, -0.001), strict=True)]
    (sentence,) = said(tmp_path, resnet20=plain, se_resnet20=values)
    assert sentence.startswith(f"se_resnet20: accuracy {word} than resnet20, by {100 * step:+.2f} points (95% interval")


def test_one_seed_and_one_model_get_a_sentence_in_place_of_an_interval(tmp_path):
    (sentence,) = said(tmp_path / "a", resnet20=[0.90], se_resnet20=[0.95])
    assert "One seed has no spread" in sentence and "+5.00 points" in sentence and "interval." in sentence
    assert said(tmp_path / "b", resnet20=[0.90, 0.91])[0].startswith("One model: resnet20 is compared with nothing.")
    one = said(tmp_path / "c", resnet20=[0.90])
    assert len(one) == 2 and one[1].startswith("One seed: there is no spread and no interval.")
    (sentence,) = said(tmp_path / "d", resnet20=[0.90, 0.91], se_resnet20=[0.92, 0.93])
    assert "with every one of 2 seeds: without a spread, no interval" in sentence


def test_diverged_and_unfinished_runs_are_said(tmp_path):
    sentences = said(
        tmp_path, resnet20=[0.90, 0.92, 0.91], a=[0.9, None, 0.8], b=[None, None, None], c=[0.9, 0.8, "left"]
    )
    assert sentences[0] == "Not finished: 1 of 12 runs are left."
    assert "a diverged with 1 of 3 seeds; means and differences are of the other seeds, and flatter it." in sentences
    assert "b: no comparison with resnet20, because b has no finished run." in sentences
    assert "b diverged with 3 of 3 seeds." in sentences
    assert sentences[-1] == "Of 2 intervals of 95%, 0.1 miss their true value by chance on average."
