"""The mean of the weights that a run passes through (Izmailov et al. 2018), kept with its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from lodestone.training.recipe import Averaging

if TYPE_CHECKING:
    import torch

AVERAGE_FILE = "average.safetensors"
# Beside the mean in its file: of how many steps it is, and the last of them.
_COUNT, _TAKEN = "count", "taken"


class Averager(TrainerCallback):
    """Takes the weights into a running mean every so many steps.

    :param settings: Since when, and how often.
    :param model: The model that is trained, without what wraps it.
    :param checkpoint: What the run goes on from, or None.
    :param keep: Whether this process writes checkpoints.
    """

    def __init__(self, settings: Averaging, model: Any, checkpoint: Path | None, keep: bool) -> None:
        from safetensors.torch import load_file

        self._settings, self._model, self._keep = settings, model, keep
        self._mean: dict[str, torch.Tensor] = {}
        self._count = self._taken = 0
        if checkpoint is not None and (checkpoint / AVERAGE_FILE).is_file():
            self._mean = load_file(checkpoint / AVERAGE_FILE)
            self._count, self._taken = int(self._mean.pop(_COUNT)), int(self._mean.pop(_TAKEN))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The base model counts where averaging begins with the run."""
        if state.global_step == 0 and self._settings.since == 0:
            self._take(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the weights in when they are due, and those of the last step."""
        step = state.global_step
        if self._has_begun(state) and (step % self._settings.every == 0 or step == state.max_steps):
            self._take(step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the mean with the checkpoint."""
        import torch
        from safetensors.torch import save_file

        if self._keep and self._count:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            numbers = {_COUNT: torch.tensor(self._count), _TAKEN: torch.tensor(self._taken)}
            save_file({**self._mean, **numbers}, checkpoint / AVERAGE_FILE)

    def put_in(self, state: Any) -> int:
        """Give the model the mean of its weights.

        :param state: Of the run that has ended. Where it was stopped early its last weights are taken in now.
        :returns: Of how many steps it is the mean; 0 where the run was stopped before averaging began.
        """
        import torch

        if self._has_begun(state) and self._taken < state.global_step:
            self._take(state.global_step)
        with torch.no_grad():
            for name, weight in self._model.named_parameters():
                if name in self._mean:
                    weight.copy_(self._mean[name])
        return self._count

    def _has_begun(self, state: Any) -> bool:
        return bool(state.global_step >= self._settings.since * state.max_steps)

    def _take(self, step: int) -> None:
        import torch

        self._count, self._taken = self._count + 1, step
        with torch.no_grad():
            for name, weight in self._model.named_parameters():
                ours = weight.detach().float().cpu()
                if name not in self._mean:
                    self._mean[name] = ours.clone()
                else:
                    self._mean[name].lerp_(ours, 1 / self._count)
