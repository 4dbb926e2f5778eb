"""What every technique of the catalogue must hold, tested over the whole registry."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import assert_equal, state_of
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.training.prepare import prepare
from datamodules import datasets
from recipes import In, OneOf, RecipeError, Task, Technique, UnfitError, Whole, build, canonical, techniques
from recipes._core.checks import check_range, kinds_of, ranges_of

TECHNIQUES = techniques()
ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {
    "augmentation",
    "averaging",
    "baseline",
    "constraint",
    "decay and gradient",
    "distillation",
    "dropout and noise",
    "landscape",
    "mixing",
    "normalization",
    "penalty",
    "stopping",
    "targets and losses",
}
NETS = ("linear", "mlp(width=8)", "cnn(width=4)", "resnet9(width=4)", "resnet18(width=4)")
PARTNERS = ("label_smoothing", "dropout", "mixup")
OF_FEATURE_MAPS = ("dropblock", "spatial_dropout", "stochastic_depth")
"""What acts on images' features, or on branches that only convolutional networks have."""
TIMES = ("seconds", "cpu_seconds", "images_per_second", "created")
# Where the strongest value of the grid would not act within a few steps, or alike whatever state is lost: a level among
# the losses of halves of these batches, and a draw between checkpoints.
ACTING = {"flooding": "flooding(b=1.475)", "lookahead": "lookahead(alpha=0.1, k=3)"}
# What leaves no trace in a run of a few epochs: no validation loss rises there.
IDLE = ("none", "early_stopping")
# Eight large steps leave weights of its own for every strength of a grid, but for these techniques with others.
OWN: dict[str, dict[str, Any]] = {
    "crop": {"image_size": 16},  # at 8 pixels the two smallest paddings are one pixel both
    "cutmix": {"epochs": 8, "seed": 2},  # a step is mixed also at the smallest probability
    "flooding": {"epochs": 20, "lr": 0.01, "schedule": "constant", "model": "mlp(width=64)"},  # losses reach all levels
    "ghost_batch_norm": {"dataset": "digits", "train_size": 256, "batch_size": 128},  # more rows than the largest size
    "gradient_clipping": {"lr": 0.1},  # gradients exceed the largest bound
    "max_norm": {"lr": 0.3},  # weights exceed the largest bound
    "mixup": {"epochs": 8},  # a lambda is far from 0 and 1 also at the smallest alpha
    "spectral_norm": {"lr": 0.3},  # weights exceed the largest bound
    "swa": {"epochs": 12},  # an epoch ends between any two starts
}
ALIKE = {"early_stopping": "most patiences find the same best epoch; its test counts the epochs that each waits"}

Fit = Callable[..., Any]
Settings = dict[str, Any]
State = dict[str, Tensor]
every = pytest.mark.parametrize("name", TECHNIQUES)


def strengths(technique: Technique) -> list[str]:
    """A spec for each value of the grid."""
    return [technique.spec(**{str(technique.strength): value}) for value in technique.grid]


def strongest(name: str) -> str:
    """A spec that acts in a few steps, as a default may not.

    Several processes give one process's numbers with it also for ghost_batch_norm, whose size must divide their shares.
    """
    return ACTING.get(name) or [name, *strengths(TECHNIQUES[name])][-1]


def assert_traced(run: Any, plain: Any) -> None:
    """The recipe has changed what the network gives: two runs of one that never acts are equal whatever is wrong."""
    x = torch.rand(10, *run.prepared.data.shape)
    with torch.no_grad():
        assert (run.net.eval()(x) - plain.net.eval()(x)).abs().max() > 1e-4, run.record.recipe


def assert_refusal(error: Exception) -> None:
    """It is one line that says why."""
    assert re.fullmatch(r"[^\n]{15,300}", str(error)), error


def numbers(record: Any) -> dict[str, Any]:
    return {k: v for k, v in asdict(record).items() if k not in (*TIMES, "config", "recipe", "run_id")}


@pytest.fixture(scope="module", params=TECHNIQUES)
def runs(request: pytest.FixtureRequest, fit: Fit) -> dict[str, Any]:
    """A technique's default, trained on every network that it fits."""
    done = {}
    for model in NETS:
        try:
            done[model] = fit(request.param, model=model)
        except UnfitError as error:
            assert_refusal(error)
    return done


def fitting(fit: Fit, recipe: str, **settings: Any) -> Any:
    """The run on the first network that the recipe fits: convolutions if it can, else residual branches."""
    try:
        return fit(recipe, **settings)
    except UnfitError:
        return fit(recipe, **settings | {"model": "resnet9(width=4)"})


# --- what is said of it ---------------------------------------------------------------------------------------------


@every
def test_it_is_described(name: str) -> None:
    technique = TECHNIQUES[name]
    assert technique.name == name
    assert technique.family in FAMILIES
    assert technique.summary.endswith(".")
    assert technique.reference.endswith(".")
    assert technique.family == "baseline" or re.search(r"\b(19|20)\d\d\b", technique.paper)
    for parameter in inspect.signature(technique.make).parameters:
        assert re.search(rf"^    [\w, ]*\b{parameter}\b[\w, ]*: ", technique.doc, re.MULTILINE), parameter


@every
def test_what_is_read_from_its_file_is_what_the_function_says(name: str) -> None:
    """The catalogue reads texts; `register` has looked at the function itself: its signature, docstring and module."""
    read, described = TECHNIQUES[name], TECHNIQUES[name].make.technique  # type: ignore[attr-defined]
    assert read == described
    signature = inspect.signature(inspect.unwrap(read.make), eval_str=True)
    assert {k: p for k, p in signature.parameters.items() if k != "task"} == read.parameters


@every
def test_every_number_has_a_range_in_which_its_default_lies(name: str) -> None:
    for key, parameter in TECHNIQUES[name].parameters.items():
        kinds, ranges = kinds_of(parameter.annotation), ranges_of(parameter.annotation)
        if kinds != (bool,):
            assert len(ranges) == 1, key
            check_range(key, parameter.default, parameter.annotation)
        if int in kinds:
            assert isinstance(ranges[0], Whole | OneOf), key


@every
def test_what_lies_outside_of_a_range_is_refused_in_specs_and_in_calls(name: str) -> None:
    for key, parameter in TECHNIQUES[name].parameters.items():
        for allowed in ranges_of(parameter.annotation):
            outside = "nowhere" if str in kinds_of(parameter.annotation) else beyond(allowed)
            said = re.escape(f"{key} must be {allowed}")
            with pytest.raises(RecipeError, match=f"^{name}: {said}(, or None)?, got ") as refused:
                build(f"{name}({key}={outside!r})")
            assert_refusal(refused.value)
            with pytest.raises(ValueError, match=f"^{said}(, or None)?, got "):
                TECHNIQUES[name].make(**{key: outside}, **({"task": Task()} if "task" in signature_of(name) else {}))


def beyond(allowed: Any) -> float:
    """A number outside of a range: above it, where it has an upper end."""
    if isinstance(allowed, OneOf):
        return 99_999_999
    if isinstance(allowed, Whole):
        return allowed.high + 1
    return float(allowed.high + 1 if isinstance(allowed, In) else allowed.low - 1)


def signature_of(name: str) -> Any:
    return inspect.signature(TECHNIQUES[name].make).parameters


@every
def test_strength_has_a_grid_and_an_off_value(name: str) -> None:
    technique = TECHNIQUES[name]
    if technique.strength is None:
        assert technique.grid == ()
        return
    default = technique.parameters[technique.strength].default
    assert len(technique.grid) >= 5
    # From barely to too much, which may mean up or down.
    assert list(technique.grid) in (sorted(set(technique.grid)), sorted(set(technique.grid), reverse=True))
    assert min(technique.grid) <= default <= max(technique.grid)
    assert technique.off not in technique.grid
    annotation = technique.parameters[technique.strength].annotation
    assert technique.off is not None or type(None) in kinds_of(annotation)
    for value in (*technique.grid, technique.off):
        check_range(technique.strength, value, annotation)


@every
def test_file_holds_it_alone_and_its_test_lies_in_the_same_folder(name: str) -> None:
    tree = ast.parse(Path(inspect.getfile(inspect.unwrap(TECHNIQUES[name].make))).read_text(encoding="utf-8"))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list]
    registered = [f for f in functions if any("register" in ast.unparse(d) for d in f.decorator_list)]
    assert [f.name for f in registered] == [name]
    *folders, _ = TECHNIQUES[name].module.split(".")
    assert ROOT.joinpath("tests", *folders, f"test_{name}.py").exists()


@every
def test_spec_round_trips(name: str) -> None:
    for spec in (name, *strengths(TECHNIQUES[name])):
        spelled = canonical(spec)
        assert spelled == str(build(spec)) == str(build(spelled)) == canonical(spelled)
        assert spelled == name or re.fullmatch(rf"{name}\(.+=.+\)", spelled)


@every
def test_every_dataset_takes_or_refuses_it_in_one_line(name: str) -> None:
    for dataset in datasets().values():
        task = Task(dataset.kind, frozenset(dataset.keeps))
        try:
            build(name, task)
        except UnfitError as error:
            assert_refusal(error)


# --- what it does to a batch ----------------------------------------------------------------------------------------


@every
def test_batch_keeps_its_arguments_and_gives_probabilities(name: str) -> None:
    recipe = build(name)
    if recipe.batch is None or recipe.teacher:
        return
    torch.manual_seed(0)
    x, y = torch.rand(12, 3, 8, 8), torch.rand(12, 4).softmax(1)
    kept_x, kept_y = x.clone(), y.clone()
    new_x, new_y = recipe.batch(x, y)
    assert torch.equal(x, kept_x)
    assert torch.equal(y, kept_y)
    assert (new_x.shape, new_x.dtype, new_y.shape, new_y.dtype) == (x.shape, x.dtype, y.shape, y.dtype)
    assert new_x.isfinite().all()
    assert (new_y >= 0).all()
    torch.testing.assert_close(new_y.sum(1), torch.ones(12))


# --- what it does to a run ------------------------------------------------------------------------------------------


def test_it_trains_on_the_networks_that_it_fits(runs: dict[str, Any]) -> None:
    assert runs
    for model, run in runs.items():
        assert (run.record.status, run.record.error) == ("ok", None), model
        assert run.steps.finite
        assert all(run.steps.finite), model


def test_evaluation_is_deterministic_idempotent_and_row_by_row(runs: dict[str, Any]) -> None:
    for model, run in runs.items():
        x, net = torch.rand(10, *run.prepared.data.shape), run.net.eval()
        before, random = state_of(net), torch.get_rng_state()
        with torch.no_grad():
            first, second, part = net(x), net(x), net(x[:3])
        assert torch.equal(torch.get_rng_state(), random), model
        assert torch.equal(first, second), model
        torch.testing.assert_close(first[:3], part, msg=model)
        assert_equal(before, state_of(net))


def test_parameters_keep_names_shapes_and_types(runs: dict[str, Any]) -> None:
    for run in runs.values():
        fresh = dict(prepare(run.prepared.config).net.named_parameters())
        trained = dict(run.net.named_parameters())
        assert {k: (p.shape, p.dtype) for k, p in trained.items()} == {k: (p.shape, p.dtype) for k, p in fresh.items()}
        assert run.record.model["parameters"] == sum(p.numel() for p in fresh.values())


def test_weights_load_into_a_fresh_network(runs: dict[str, Any]) -> None:
    for run in runs.values():
        file = io.BytesIO()
        torch.save(run.net.state_dict(), file)
        file.seek(0)
        fresh = prepare(run.prepared.config).net
        fresh.load_state_dict(torch.load(file, weights_only=True))
        x = torch.rand(5, *run.prepared.data.shape)
        with torch.no_grad():
            assert torch.equal(fresh.eval()(x), run.net.eval()(x))


def test_running_statistics_move_once_a_step(runs: dict[str, Any]) -> None:
    """Also where a technique passes the network several times."""
    for model, run in runs.items():
        for norm in (m for m in run.net.modules() if isinstance(m, _BatchNorm)):
            assert 0 < int(norm.num_batches_tracked) <= len(run.steps.finite), model
        # Ghost batches move them without passing this layer.
        assert set(run.steps.moves.values()) <= {0, len(run.steps.finite)}, model


@every
def test_every_strength_trains_and_each_in_its_own_way(fit: Fit, name: str) -> None:
    """The weights that are left differ from value to value of the grid and from those without the technique."""
    specs, settings = strengths(TECHNIQUES[name]), {"epochs": 4, "lr": 0.03} | OWN.get(name, {})
    trained = {spec: fitting(fit, spec, **settings) for spec in specs}
    for spec, run in trained.items():
        assert run.record.status == "ok", spec
        assert all(run.steps.finite), spec
    if specs and name not in ALIKE:
        model = trained[specs[0]].prepared.config.model
        trained["none"] = fit("none", **settings | {"model": model})
        alike = [(a, b) for a, b in itertools.combinations(trained, 2) if apart(trained[a], trained[b]) < 1e-5]
        assert not alike


def apart(a: Any, b: Any) -> float:
    """The largest difference of a parameter that both networks have."""
    p, q = (dict(run.net.named_parameters()) for run in (a, b))
    assert p.keys() & q.keys()
    return max(float((p[k] - q[k]).detach().abs().max()) for k in p.keys() & q.keys())


@every
def test_every_strength_trains_on_features_or_is_refused(fit: Fit, name: str) -> None:
    table = {"dataset": "dense_features", "train_size": 32}
    for spec in strengths(TECHNIQUES[name]) or [name]:
        if "image" in TECHNIQUES[name].needs or name in OF_FEATURE_MAPS:
            with pytest.raises(UnfitError) as refused:
                fit(spec, **table, model="mlp(width=8)")
            assert_refusal(refused.value)
        else:
            run = fit(spec, **table, model="mlp(width=8)")
            assert run.record.status == "ok", spec
            assert all(run.steps.finite), spec


@pytest.fixture(scope="module")
def baselines(fit: Fit) -> dict[str, Any]:
    """Without and with a batch norm of the network's own."""
    return {model: fit("none", model=model) for model in ("cnn(width=4)", "resnet18(width=4)")}


@every
def test_off_equals_the_baseline_bit_for_bit(fit: Fit, baselines: dict[str, Any], name: str) -> None:
    technique = TECHNIQUES[name]
    if technique.strength is None:
        return
    for model, plain in baselines.items():
        off = fit(technique.spec(**{technique.strength: technique.off}), model=model)
        assert numbers(off.record) == numbers(plain.record)
        assert_equal(off.net.state_dict(), plain.net.state_dict())


@every
@pytest.mark.parametrize("partner", PARTNERS)
def test_composition_on_both_sides_trains(fit: Fit, name: str, partner: str) -> None:
    """All do but a technique with itself."""
    for spec in (f"{name}+{partner}", f"{partner}+{name}"):
        if name == partner:
            with pytest.raises(RecipeError, match="appears twice") as refused:
                fitting(fit, spec)
            assert_refusal(refused.value)
        else:
            run = fitting(fit, spec)
            assert run.record.status == "ok", spec
            assert all(run.steps.finite), spec


@every
def test_bf16_mixed(fit: Fit, name: str) -> None:
    run = fitting(fit, name, precision="bf16-mixed")
    assert run.record.status == "ok"
    assert all(run.steps.finite)
    assert {p.dtype for p in run.net.parameters()} == {torch.float32}
    whole = fitting(fit, name)
    assert run.record.metrics["val"]["loss"] == pytest.approx(whole.record.metrics["val"]["loss"], rel=0.05)


# --- interrupted and spread out -------------------------------------------------------------------------------------


class Crash(Callback):
    """Ends the run in the middle of its third epoch."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (2, 1):
            raise RuntimeError("crash")


@every
def test_resumed_run_equals_an_uninterrupted_one(fit: Fit, tmp_path: Path, name: str) -> None:
    settings = {"epochs": 4, "checkpoint": True, "results_dir": str(tmp_path / "broken"), "force": False}
    spec = strongest(name)
    broken = fitting(fit, spec, callbacks=(Crash(),), **settings)
    assert broken.record.error == "RuntimeError: crash"
    resumed = fitting(fit, spec, **settings)
    whole = fitting(fit, spec, **{**settings, "results_dir": str(tmp_path / "whole")})
    assert len(whole.steps.finite) == 2 * len(resumed.steps.finite) == 8
    assert numbers(resumed.record) == numbers(whole.record)
    assert_equal(resumed.net.state_dict(), whole.net.state_dict())
    if name not in IDLE:
        assert_traced(whole, fit("none", epochs=4, model=whole.prepared.config.model))


def test_two_processes_give_one_processs_numbers(fit: Fit, tiny: Settings, tmp_path: Path) -> None:
    """All techniques under ddp (gloo), in two processes that are started once; with batch norm, where that is taken.

    By gradient descent: Adam's first steps are the gradients' signs, which rounding turns where they are zero. In small
    steps: the strongest penalties make large ones diverge, and rounding with them.
    """
    settings = tiny | {"optimizer": "sgd", "lr": 0.002, "results_dir": str(tmp_path / "one")}
    runs: dict[str, Any] = {}
    for name in TECHNIQUES:
        plain = "batch_norm"
        try:
            runs[name] = fitting(fit, f"{plain}+{strongest(name)}", **settings)
        except RecipeError:  # it normalizes itself
            plain = "none"
            runs[name] = fitting(fit, strongest(name), **settings)
        if name not in IDLE:
            assert_traced(runs[name], fit(plain, **settings | {"model": runs[name].prepared.config.model}))
    spread = {"devices": 2, "results_dir": str(tmp_path / "two")}
    ranks = in_two_processes([asdict(run.prepared.config) | spread for run in runs.values()], tmp_path)
    wrong = {}
    for (name, run), (error, first), (_, second) in zip(runs.items(), *ranks, strict=True):
        if error or distance(first, second) > 0 or distance(first, run.net.state_dict()) > 1e-5:
            wrong[name] = error or (distance(first, second), distance(first, run.net.state_dict()))
    assert not wrong


def distance(a: State, b: State) -> float:
    """The largest difference of two values, as a share of their tensor's largest one where that exceeds 1."""
    assert a.keys() == b.keys()
    return max(float((a[k].double() - b[k].double()).abs().max() / b[k].abs().max().clamp_min(1)) for k in a)


def in_two_processes(configs: list[Settings], folder: Path) -> list[list[tuple[str | None, State]]]:
    """For each process, the error and the final weights of each of those runs."""
    (folder / "configs.json").write_text(json.dumps(configs))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "PYTHONPATH": str(ROOT)}
    script, processes = Path(__file__).with_name("two_processes.py"), []
    with contextlib.ExitStack() as stack:
        for rank in "01":
            log = stack.enter_context((folder / f"{rank}.log").open("w"))
            command = [sys.executable, str(script), str(folder / "configs.json"), str(folder / f"{rank}.pt")]
            process = subprocess.Popen(command, env=os.environ | shared | {"LOCAL_RANK": rank}, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        for rank, process in enumerate(processes):
            assert process.wait(timeout=250) == 0, (folder / f"{rank}.log").read_text()[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in "01"]
