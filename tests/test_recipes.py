"""Recipes: every ready-made one holds, and every mistake in one is named with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bayeshyper.errors import RecipeError
from bayeshyper.recipes import (
    apply_overrides,
    check_recipe,
    describe_recipe,
    list_recipes,
    parse_override,
    read_recipe,
)

ROOT = Path(__file__).parents[1]
READY_MADE = [(kind, path.stem) for kind in ("models", "inference") for path in (ROOT / kind).glob("*.toml")]


def settings(*texts: str) -> dict[str, Any]:
    """What `--set` gives for each of its texts."""
    return dict(parse_override(text) for text in texts)


@pytest.mark.parametrize(("kind", "name"), READY_MADE)
def test_every_ready_made_recipe_holds_and_says_what_it_is(kind: Any, name: str) -> None:
    recipe = read_recipe(kind, name)
    assert name in list_recipes(kind)
    assert len(describe_recipe(kind, name)) > 40
    if kind == "models":
        assert recipe["inference"] in list_recipes("inference")


def test_a_recipe_is_read_alike_by_name_by_path_and_as_a_mapping() -> None:
    by_name = read_recipe("models", "mlp")
    assert read_recipe("models", ROOT / "models" / "mlp.toml") == by_name
    assert read_recipe("models", str(ROOT / "models" / "mlp.toml")) == by_name
    assert read_recipe("models", by_name) == by_name


def test_what_is_read_can_be_changed_without_changing_what_it_was_read_from() -> None:
    mine = {"target": {"hidden": [5]}}
    read_recipe("models", mine)["target"]["hidden"].append(7)
    apply_overrides(mine, {}, {"target.hidden": [9]})
    assert mine == {"target": {"hidden": [5]}}


@pytest.mark.parametrize(
    ("kind", "recipe", "words"),
    [
        (
            "models",
            {"hypernetwork": {"noise_dims": 8}},
            ["hypernetwork.noise_dims", "hypernetwork.noise_dim"],
        ),
        ("models", {"targets": {"hidden": [5]}}, ["targets.hidden", "target.hidden"]),
        ("models", {"target": {"hidden": 50}}, ["target.hidden", "50", "list", "whole number"]),
        ("models", {"target": {"hidden": [50, "a"]}}, ["target.hidden", "'a'", "whole number"]),
        ("models", {"target": 5}, ["target", "table", "target.hidden"]),
        ("models", {"target": {"network": ["mlp"]}}, ["target.network", "mlp"]),
        ("models", {"prior": {"family": "uniform"}}, ["prior.family", "'uniform'", "normal, fan-in"]),
        ("models", {"prior": {"scale": "wide"}}, ["prior.scale", "'wide'", "expected a number."]),
        ("models", {"prior": {"center": "zero"}}, ["prior.center", "'zero'", "expected initial."]),
        ("models", {"prior": {"family": "normal", "gain": 1.0}}, ["prior.gain"]),
        ("models", {"likelihood": {"n_classes": 3}}, ["likelihood.n_classes"]),
        (
            "inference",
            {"optimizer": {"steps": "many"}},
            ["optimizer.steps", "'many'", "whole number or auto"],
        ),
        ("inference", {"optimizer": {"steps": 1e3}}, ["optimizer.steps", "1000.0", "whole number"]),
        ("inference", {"particles": True}, ["particles", "true", "whole number"]),
        ("inference", {"kl": {"anneal": "x"}}, ["kl.anneal", "'x'", "a number"]),
        ("inference", {"local_reparameterization": 1}, ["local_reparameterization", "1", "true or false"]),
        ("inference", {"xyz": 1}, ["xyz", "optimizer.learning_rate", "particles"]),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(kind: Any, recipe: Any, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        check_recipe(kind, recipe)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.endswith(".")
    assert "\n" not in message


def test_a_whole_number_passes_where_a_number_is_expected() -> None:
    check_recipe("inference", {"kl": {"temperature": 1}})
    check_recipe("models", {"prior": {"gain": 2}, "target": {"hidden": []}})


def test_an_unknown_name_lists_those_there_are_and_the_nearest() -> None:
    with pytest.raises(RecipeError, match="mpl; the nearest is mlp: there are low-rank, mean-field, mlp"):
        read_recipe("models", "mpl")
    with pytest.raises(RecipeError, match="inference recipe"):
        read_recipe("inference", "zzz")


def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[target]\nhidden = [50\nactivation = 'relu'\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml is not valid TOML: .*line 3"):
        read_recipe("models", broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not valid TOML"):
        read_recipe("models", broken)
    broken.write_text("[target]\nhiden = [50]\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml: Unknown key target\.hiden"):
        read_recipe("models", broken)
    with pytest.raises(RecipeError, match="no such file"):
        read_recipe("models", tmp_path / "absent.toml")
    with pytest.raises(RecipeError, match="directory"):
        read_recipe("models", tmp_path)


def test_overrides_find_the_recipe_that_has_the_key() -> None:
    model, inference = read_recipe("models", "mlp"), read_recipe("inference", "svi")
    changed, trained = apply_overrides(
        model, inference, settings("target.hidden=[20, 20]", "optimizer.steps=7", "particles=2")
    )
    assert changed["target"] == {**model["target"], "hidden": [20, 20]}
    assert trained["optimizer"] == {**inference["optimizer"], "steps": 7}
    assert trained["particles"] == 2


def test_overrides_may_be_nested_and_leave_the_rest_of_their_table() -> None:
    _, trained = apply_overrides({}, {"optimizer": {"warmup": 3}}, {"optimizer": {"steps": 7}})
    assert trained == {"optimizer": {"warmup": 3, "steps": 7}}


def test_another_class_takes_none_of_the_arguments_of_the_one_before() -> None:
    recipe = {"prior": {"family": "fan-in", "gain": 1.0}}
    changed, _ = apply_overrides(recipe, {}, settings("prior.family=normal", "prior.scale=0.5"))
    assert changed["prior"] == {"family": "normal", "scale": 0.5}
    same, _ = apply_overrides(recipe, {}, settings("prior.family=fan-in"))
    assert same == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("noise_dims=8", ["noise_dims", "hypernetwork.noise_dim"]),
        ("optimizer.step=8", ["optimizer.step", "optimizer.steps"]),
        ("optimizer.learning_rate=fast", ["optimizer.learning_rate", "'fast'", "a number"]),
        ("likelihood.family=gausian", ["'gausian'", "gaussian", "student-t"]),
        ("kl=3", ["kl", "kl.temperature"]),
        ("inference=quick", ["inference"]),
    ],
)
def test_a_wrong_override_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        apply_overrides(read_recipe("models", "mlp"), read_recipe("inference", "svi"), settings(text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=3", 3),
        ("a = 3e-3", 0.003),
        ("a=true", True),
        ("a=[1, 2]", [1, 2]),
        ("a=[]", []),
        ("a='3'", "3"),
        ("a=student-t", "student-t"),
        ("a=x=y", "x=y"),
        ("a=", ""),
        ("a=1\nb=2", "1\nb=2"),
    ],
)
def test_the_value_of_an_override_is_toml_or_else_text(text: str, value: Any) -> None:
    assert parse_override(text) == ("a", value)


@pytest.mark.parametrize("text", ["a", "=3", ""])
def test_an_override_without_key_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"key=value, such as optimizer\.steps=500"):
        parse_override(text)


def test_an_estimators_options_are_keys_of_the_estimator_that_is_chosen() -> None:
    check_recipe("inference", {"entropy": "hierarchical", "entropy_options": {"inner": 4}})
    with pytest.raises(RecipeError, match=r"entropy_options\.inner"):
        check_recipe("inference", {"entropy_options": {"inner": 4}})  # the linearised entropy has none
    with pytest.raises(RecipeError, match="a whole number"):
        check_recipe("inference", {"entropy": "hierarchical", "entropy_options": {"inner": 0.5}})
    with pytest.raises(RecipeError, match="one of linearized"):
        check_recipe("inference", {"entropy": "exact"})
    chosen = settings("entropy=semi-implicit", "entropy_options.inner=8")
    _, inference = apply_overrides({}, {}, chosen)
    assert inference == {"entropy": "semi-implicit", "entropy_options": {"inner": 8}}
    # Another estimator has other options: those of the one before go with it.
    _, changed = apply_overrides({}, inference, {"entropy": "stein"})
    assert changed == {"entropy": "stein"}
    _, kept = apply_overrides({}, inference, {"optimizer.steps": 5})
    assert kept["entropy_options"] == {"inner": 8}


def test_a_heads_options_are_keys_of_the_table_that_names_it() -> None:
    check_recipe("models", {"hypernetwork": {"head": "low-rank", "rank": 2}})
    with pytest.raises(RecipeError, match=r"Unknown key hypernetwork\.rank .* adapter or low-rank has it"):
        check_recipe("models", {"hypernetwork": {"rank": 2}})
    with pytest.raises(RecipeError, match=r"hypernetwork\.rank: got 2\.5, expected a whole number"):
        check_recipe("models", {"hypernetwork": {"head": "low-rank", "rank": 2.5}})
    with pytest.raises(RecipeError, match=r"hypernetwork\.head: got 'sparse', expected one of .*low-rank"):
        check_recipe("models", {"hypernetwork": {"head": "sparse"}})


def test_another_head_keeps_the_hypernetworks_sizes_and_drops_the_old_heads_options() -> None:
    recipe = {"hypernetwork": {"head": "low-rank", "rank": 2, "hidden": [], "noise_dim": 3}}
    changed, _ = apply_overrides(recipe, {}, {"hypernetwork.head": "per-layer", "hypernetwork.code": 5})
    assert changed == {"hypernetwork": {"head": "per-layer", "code": 5, "hidden": [], "noise_dim": 3}}
