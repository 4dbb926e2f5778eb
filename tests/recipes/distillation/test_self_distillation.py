from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_equal, state_of
from torch import nn

from bench import train
from bench.training import record
from bench.training.classifier import soft_cross_entropy
from bench.training.teachers import TEACHER_SEED
from recipes import build

Make = Callable[..., Any]


def test_loss_is_the_weighted_sum_of_both() -> None:
    torch.manual_seed(0)
    teacher, student = nn.Linear(5, 3), nn.Linear(5, 3)
    x, labels = torch.randn(8, 5), torch.randint(3, (8,))
    recipe = build("self_distillation(weight=0.3)")
    assert recipe.teacher
    assert recipe.batch
    recipe.teacher(teacher)
    same_x, y = recipe.batch(x, F.one_hot(labels, 3).float())
    assert same_x is x
    logits = student(x)
    taught = -(teacher(x).softmax(1) * logits.log_softmax(1)).sum(1)
    expected = 0.7 * F.cross_entropy(logits, labels, reduction="none") + 0.3 * taught
    torch.testing.assert_close(soft_cross_entropy(logits, y), expected)
    assert not y.requires_grad


def test_teacher_evaluates_and_stays_as_it_is() -> None:
    """Also one with batch norm and dropout, handed over in training mode."""
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    teacher(torch.randn(50, 5))  # running statistics unlike a batch's
    student, x, y = nn.Linear(5, 3), torch.randn(8, 5), torch.eye(3)[torch.arange(8) % 3]
    before, expected = state_of(teacher), 0.6 * y + 0.4 * copy.deepcopy(teacher).eval()(x).softmax(1).detach()
    recipe = build("self_distillation(weight=0.4)")
    assert recipe.teacher
    assert recipe.batch
    recipe.teacher(teacher.train())
    for _ in range(2):
        _, targets = recipe.batch(x, y)
        torch.testing.assert_close(targets, expected)
        soft_cross_entropy(student(x), targets).mean().backward()
    assert not any(module.training for module in teacher.modules())
    assert all(p.grad is None for p in teacher.parameters())
    assert student.weight.grad is not None
    assert_equal(before, state_of(teacher))


def test_teacher_is_trained_by_the_suite_and_kept(make_config: Make, tmp_path: Path) -> None:
    first = train(make_config(recipe="self_distillation"))
    assert first.status == "ok"
    (kept,) = (tmp_path / "results" / "teachers").iterdir()
    teacher = record.load(record.path_of(tmp_path / "results", kept.stem))
    assert (teacher.recipe, teacher.config["seed"], teacher.config["trial"]) == ("none", TEACHER_SEED, True)
    before = kept.stat().st_mtime_ns
    again = train(make_config(recipe="self_distillation"), force=True)
    assert kept.stat().st_mtime_ns == before
    assert again.metrics == first.metrics


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_range(weight: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        build(f"self_distillation(weight={weight})")
