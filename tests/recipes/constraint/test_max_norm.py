import pytest
import torch
from helpers import network

from recipes import RecipeError, build, weights
from recipes.constraint.max_norm import max_norm, project_rows


@pytest.mark.parametrize("shape", [(20, 30), (8, 4, 3, 3)])
@pytest.mark.parametrize("c", [0.5, 3.0, 6.0, 100.0])
def test_rows_are_those_of_torch_renorm(shape: tuple[int, ...], c: float) -> None:
    torch.manual_seed(0)
    w = torch.randn(shape)
    torch.testing.assert_close(project_rows(w, c), torch.renorm(w, 2, 0, c))
    assert (project_rows(w, c).flatten(1).norm(dim=1) <= c * (1 + 1e-6)).all()


def test_small_rows_stay_bit_for_bit_and_zeros_are_no_trouble() -> None:
    w = torch.stack([torch.zeros(4), torch.full((4,), 0.1), torch.full((4,), 10.0)])
    projected = project_rows(w, 1.0)
    assert torch.equal(projected[:2], w[:2])
    torch.testing.assert_close(projected[2], torch.full((4,), 0.5))


def test_weights_are_projected_and_biases_and_normalization_left() -> None:
    net = network("resnet18(width=2)")
    others = {k: p.clone() for k, p in net.named_parameters() if p.ndim < 2}
    project = max_norm(0.3).project
    assert project
    project(net, lambda p: 0.0)
    assert all(w.flatten(1).norm(dim=1).max() <= 0.3 * (1 + 1e-6) for w in weights(net))
    assert max(w.flatten(1).norm(dim=1).max().item() for w in weights(net)) == pytest.approx(0.3)
    assert all(torch.equal(p, others[k]) for k, p in net.named_parameters() if p.ndim < 2)


def test_off_and_refusals() -> None:
    assert max_norm(None).project is None
    with pytest.raises(RecipeError, match=r"c must be above 0, or None, got 0\.0"):
        build("max_norm(c=0)")
