import math
from pathlib import Path

import pytest
import torch
from helpers import apply, assert_rate

from bench import RunConfig, train
from recipes import RecipeError, UnfitError, build
from recipes._core.distributed import own_rows
from recipes.dropout_and_noise.gyro_dropout import GyroDropout, gyro_dropout, scheduled


@pytest.mark.parametrize(("sigma", "tau"), [(8, 2), (7, 3), (5, 5), (6, 1)])
def test_schedule_is_that_of_the_loop(sigma: int, tau: int) -> None:
    stretches = math.ceil(sigma / tau)
    steps, rows = 10 * stretches, 12
    uses = torch.zeros(sigma)
    for step in range(steps):
        got = scheduled(rows, step / steps, sigma, tau)
        first = step // 10 * tau
        assert got.tolist() == [(first + row % tau) % sigma for row in range(rows)]
        uses += torch.bincount(got, minlength=sigma)
    assert (uses > 0).all()
    if sigma % tau == 0 and rows % tau == 0:
        assert uses.unique().tolist() == [steps * rows / sigma]  # every subnetwork trains equally much


def test_masks_are_fixed_with_rate_p() -> None:
    torch.manual_seed(0)
    p = 0.3
    layer = GyroDropout(400, p, sigma=256, tau=16)
    x = torch.ones(32, 400)
    first = layer(x)
    assert torch.equal(layer(x), first)
    assert torch.equal(first[:16], first[16:])
    assert first.unique(dim=0).shape[0] == 16
    torch.testing.assert_close(first.amax(), torch.tensor(1 / (1 - p)))
    layer.progress = 1 / 16
    assert first.shape == layer(x).shape
    assert not any(torch.equal(row, other) for row in layer(x)[:16] for other in first[:16])
    assert_rate(layer.masks == 0, p)
    assert layer.eval()(x) is x
    assert layer.train()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(("p", "sigma", "tau"), [(0.2, 24, 4), (0.5, 256, 16), (0.7, 10, 10)])
def test_arguments_given_are_those_of_the_layers(p: float, sigma: int, tau: int) -> None:
    spec = f"gyro_dropout(p={p}, sigma={sigma}, tau={tau})"
    layers = [m for m in apply(spec, "mlp(width=2000)").modules() if isinstance(m, GyroDropout)]
    assert [m.masks.shape[1] for m in layers] == [2000, 1000]
    steps = 4 * math.ceil(sigma / tau)
    for layer in layers:
        x, used = torch.ones(2 * tau, layer.masks.shape[1]), []
        for step in range(steps):
            layer.progress = step / steps
            used.append(layer(x).unique(dim=0))
            assert len(used[-1]) == tau
        subnetworks = torch.cat(used).unique(dim=0)
        assert len(subnetworks) == sigma
        assert_rate(subnetworks == 0, p)
        assert subnetworks.amax().item() == pytest.approx(1 / (1 - p))


@pytest.mark.parametrize(("rows", "steps"), [(8, 400), (1, 300), (5, 77), (16, 16), (64, 10), (64, 4), (100, 49)])
@pytest.mark.parametrize(("sigma", "tau"), [(256, 16), (49, 1), (50, 50)])
def test_every_subnetwork_has_its_turn_also_in_small_batches_and_short_runs(
    rows: int, steps: int, sigma: int, tau: int
) -> None:
    """As many are trained as there are rows in all, sigma at most; each within one stretch, on as many rows."""
    torch.manual_seed(0)
    layer = GyroDropout(30, 0.5, sigma, tau)
    layer.masks.copy_(torch.arange(sigma)[:, None].expand(sigma, 30))
    layer.steps, used = steps, []
    for step in range(steps):
        layer.progress = step / steps
        used.append(layer(torch.ones(rows, 30))[:, 0].long())
    if steps * rows < sigma:
        assert len(torch.cat(used).unique()) == steps * rows
        return
    together = min(rows, max(tau, math.ceil(sigma / steps)))
    assert torch.cat(used).unique().tolist() == list(range(sigma))
    for batch in used:
        counts = batch.unique(return_counts=True)[1]
        assert len(counts) == together
        assert counts.max() - counts.min() <= 1
    starts = [int(batch[0]) for batch in used]
    assert starts == sorted(starts)  # one stretch after the other


def test_two_processes_train_the_subnetworks_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = GyroDropout(10, 0.5, sigma=9, tau=3)
    x = torch.ones(8, 10)
    whole = layer(x)
    for module in ("recipes._core.distributed", "recipes.dropout_and_noise.gyro_dropout"):
        monkeypatch.setattr(f"{module}.world", lambda: 2)
    monkeypatch.setattr("recipes._core.distributed.rank", lambda: 1)
    assert torch.equal(layer(own_rows(x)), whole[4:])


def test_a_run_goes_through_all_subnetworks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        "recipes.dropout_and_noise.gyro_dropout.scheduled",
        lambda rows, progress, sigma, tau: seen.append(progress) or scheduled(rows, progress, sigma, tau),
    )
    config = {"dataset": "digits", "model": "mlp(width=8)", "epochs": 2, "train_size": 200, "batch_size": 20}
    train(RunConfig(recipe="gyro_dropout", **config, wandb="disabled", results_dir=str(tmp_path), accelerator="cpu"))
    assert seen[::2] == pytest.approx([i / len(seen[::2]) for i in range(len(seen[::2]))])  # two layers a step
    assert len(seen[::2]) >= 16


def test_refusals() -> None:
    for spec, message in {
        "p=1.0": r"p must be in \[0, 1\), got 1.0",
        "sigma=0": "sigma must be from 1 to 100000, got 0",
        "sigma=2000000000": "sigma must be from 1 to 100000, got 2000000000",
        "sigma=4, tau=5": "tau must be from 1 to sigma = 4, got 5",
    }.items():
        with pytest.raises(RecipeError, match=message):
            build(f"gyro_dropout({spec})")
    with pytest.raises(UnfitError, match="no hidden units in fully connected layers"):
        apply("gyro_dropout", "linear")
    assert gyro_dropout(0.0).model is None
