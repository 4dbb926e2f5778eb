"""Early stopping that restores the best weights."""

from typing import Annotated, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from recipes._core.checks import Whole
from recipes._core.recipe import Recipe
from recipes._core.registry import register

MONITOR = "val/loss"


class EarlyStopping(Callback):
    """Stops when the validation loss has not improved for `patience` epochs, and restores the best epoch's weights."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = float("inf")
        self.waited = 0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics[MONITOR])
        if loss < self.best:
            self.best, self.waited = loss, 0
            self.weights = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.weights:
            pl_module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.waited, self.weights = state_dict["best"], state_dict["waited"], state_dict["weights"]


@register(
    paper="Prechelt 1998, Early Stopping - But When?; Morgan and Bourlard 1990",
    reference="Lightning's EarlyStopping on the same losses, which stops after the same epoch.",
    strength="patience",
    grid=(10, 5, 3, 2, 1),
    off=None,
)
def early_stopping(patience: Annotated[int | None, Whole(1, 1_000_000)] = 5) -> Recipe:
    """Training ends once validation loss stops improving, and the best epoch's weights are the ones measured.

    The weights of the best epoch are always restored, also when the last epoch is reached. Lightning's callback goes on
    with the last weights, Keras's does unless told to restore.

    Args:
        patience: the strength, the smaller the stronger: epochs without improvement that are borne; `None` never stops
            and keeps the last weights.
    """
    if patience is None:
        return Recipe()
    return Recipe(callbacks=lambda: [EarlyStopping(patience)])
