"""What a regularization recipe is, and the laws by which recipes compose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import reduce
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from recipes._core.spec import SpecError

if TYPE_CHECKING:  # the catalogue is read without torch
    from lightning.pytorch import Callback
    from torch import Tensor, nn
    from torch.optim import Optimizer

StepSize: TypeAlias = "Callable[[nn.Parameter], Tensor | float]"
"""Maps a parameter to the size of its last step: a scalar, or one value a coordinate (shaped like the parameter)."""


class RecipeError(SpecError):
    """A wrong recipe: one line that names the offending text and the valid choices."""

    kind = "recipe"


class UnfitError(RecipeError):
    """A recipe that cannot be applied to this dataset or network, with the reason."""


class Step(NamedTuple):
    """One training step, as a penalty sees it."""

    x: Tensor
    """Inputs after the recipe's `batch`: float32 (N, C, H, W) in pixel units of [0, 1], or (N, D) features."""
    y: Tensor
    """Targets after the recipe's `batch`: (N, K) probabilities."""
    logits: Tensor
    """(N, K) outputs of the network in training mode."""
    progress: float
    """Share of the training steps already done, in [0, 1)."""


@dataclass(frozen=True)
class Task:
    """What a recipe may know of the dataset on which it is to train."""

    kind: str = "image"
    """`image` or `features`."""
    keeps: frozenset[str] | None = None
    """The transformations that keep this dataset's labels; `None`: all of them."""

    def allows(self, transformation: str) -> bool:
        return self.keeps is None or transformation in self.keeps


class Turn(IntEnum):
    """When a recipe's `gradient`, `optimizer` or `project` has its turn, the lower first, wherever a spec names it.

    These edits do not commute. So that the order of a spec's terms changes nothing, what others could undo comes last:
    each promise that can hold for the outcome holds.
    """

    ANY = 0
    """Before the others; several of these in the order of the spec."""

    # gradient
    BOUND_UNITS = 1
    """Bounds each unit's gradient; a bound on the whole only shortens it further."""
    BOUND = 2
    """Bounds the gradient of all parameters together."""
    NOISE = 3
    """Adds noise of a stated size, which no bound then shortens."""
    SUBSPACE = 4
    """Projects on a subspace, in which what the optimizer sees must lie."""

    # optimizer, from the innermost out: each wraps those before it
    DECAY = 5
    """Shrinks the weights as a part of the step."""
    CLIMB = 6
    """Takes the gradient elsewhere."""
    SCALED_CLIMB = 7
    """Likewise, in a neighbourhood that is no ball; climbs first, and the ball's climb follows the gradient there."""
    AROUND = 8
    """Looks at whole steps, from the weights before to the weights after."""

    # project
    THRESHOLD = 9
    """A proximal step coordinate by coordinate."""
    GROUP_THRESHOLD = 10
    """A proximal step by groups: behind the former, theirs is the proximal step of the sum (Yu 2013)."""
    BOX = 11
    """Moves the weights into a box."""
    BALL = 12
    """Moves the weights into balls, by scaling, which does not leave the box."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A bundle of optional functions: a recipe touches exactly what is not `None`.

    The fields stand in the order in which a run reaches them.
    """

    teacher: Callable[[nn.Module], None] | None = None
    """Receives a trained network: the same run without any recipe, from another seed."""
    model: Callable[[nn.Module], nn.Module] | None = None
    """Surgery on the freshly initialized network; raises `UnfitError` where the network lacks what it needs."""
    batch: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """(x, y) -> (x, y) on the whole training batch, never in evaluation. y is an (N, K) matrix of probabilities."""
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    """(logits (N, K), y (N, K)) -> (N,) training losses, in place of the soft cross-entropy."""
    penalty: Callable[[nn.Module, Step], Tensor] | None = None
    """(network, step) -> scalar, added to the mean training loss."""
    gradient: Callable[[nn.Module], None] | None = None
    """Edits the gradients in place, after the backward pass and before the optimizer's step."""
    optimizer: Callable[[Optimizer], Optimizer] | None = None
    """Wraps or regroups the optimizer, whose weights are still the initial ones."""
    project: Callable[[nn.Module, StepSize], None] | None = None
    """Edits the weights in place after each optimizer step, knowing how large that step was."""
    average: Callable[[], Callback] | None = None
    """Makes the callback that keeps averaged weights, which are then the ones evaluated."""
    callbacks: Callable[[], list[Callback]] | None = None
    """Makes further Lightning callbacks, fresh for each run."""
    turn: Turn = Turn.ANY
    """When its `gradient`, `optimizer` or `project` runs among those of others."""
    mixes_layers: bool = False
    """Whether `batch` mixes the targets of rows that a hidden layer will mix: only then do x and y fit each other."""
    row_by_row: bool = False
    """Whether `batch` needs x and y that fit each other, since it treats each row in a way of its own."""
    spec: str = field(default="none", compare=False)
    """The canonical spec, every default filled in."""

    def __str__(self) -> str:
        return self.spec


def compose(recipes: Sequence[Recipe]) -> Recipe:
    """Fold recipes, left to right, into one.

    `model` and `batch` run in order, `gradient`, `optimizer` and `project` in that of their turns; `penalty` adds up,
    `callbacks` concatenate; `loss` and `average` admit one.

    Raises:
        RecipeError: where two recipes both bring a `loss` or an `average`, or one that treats x and y row by row stands
            after one that mixes hidden layers; it names both.
    """
    named = [recipe for recipe in recipes if recipe.spec != "none"]
    named = named if len(named) == 1 else list(map(_blamed, named))
    return replace(reduce(_join, named, Recipe()), spec="+".join(r.spec for r in named) or "none")


def _blamed(recipe: Recipe) -> Recipe:
    """The recipe, whose name stands in the error where a network does not fit it."""
    change = recipe.model
    if change is None:
        return recipe

    def model(net: nn.Module) -> nn.Module:
        try:
            return change(net)
        except UnfitError as error:
            raise UnfitError(f"{recipe.spec}: {error}") from None

    return replace(recipe, model=model)


def _join(a: Recipe, b: Recipe) -> Recipe:
    if a.mixes_layers and b.row_by_row:
        raise RecipeError(f"{a.spec} mixes targets for a hidden layer: write {b.spec} before it")
    return Recipe(
        teacher=_both(a.teacher, b.teacher, lambda f, g: InTurn(((Turn.ANY, f), (Turn.ANY, g)))),
        model=_both(a.model, b.model, lambda f, g: lambda net: g(f(net))),
        batch=_both(a.batch, b.batch, lambda f, g: lambda x, y: g(*f(x, y))),
        loss=_only_one("loss", a, b),
        penalty=_both(a.penalty, b.penalty, lambda f, g: lambda net, step: f(net, step) + g(net, step)),
        gradient=_in_turn("gradient", a, b),
        optimizer=_in_turn("optimizer", a, b),
        project=_in_turn("project", a, b),
        average=_only_one("average", a, b),
        callbacks=_both(a.callbacks, b.callbacks, lambda f, g: lambda: f() + g()),
        mixes_layers=a.mixes_layers or b.mixes_layers,
        row_by_row=a.row_by_row or b.row_by_row,
        spec=b.spec if a.spec == "none" else f"{a.spec}+{b.spec}",
    )


def _both(f: Any, g: Any, join: Callable[[Any, Any], Any]) -> Any:
    return g if f is None else f if g is None else join(f, g)


@dataclass(frozen=True)
class InTurn:
    """Functions, each with its turn, as one: what one returns, if it returns anything, is what the next is given."""

    parts: tuple[tuple[Turn, Callable[..., Any]], ...]

    def __call__(self, subject: Any, *others: Any) -> Any:
        for _, part in self.parts:
            made = part(subject, *others)
            subject = subject if made is None else made
        return subject


def _in_turn(name: str, a: Recipe, b: Recipe) -> Any:
    parts = sorted(_parts(name, a) + _parts(name, b), key=itemgetter(0))
    return InTurn(tuple(parts)) if parts else None


def _parts(name: str, recipe: Recipe) -> list[tuple[Turn, Callable[..., Any]]]:
    function = getattr(recipe, name)
    if function is None:
        return []
    return list(function.parts) if isinstance(function, InTurn) else [(recipe.turn, function)]


def _only_one(name: str, a: Recipe, b: Recipe) -> Any:
    f, g = getattr(a, name), getattr(b, name)
    if f is not None and g is not None:
        raise RecipeError(f"{a.spec} and {b.spec} both set the {name}: a run can have only one")
    return f if g is None else g
