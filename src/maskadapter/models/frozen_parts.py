"""Frozen parts of a model stay as they are, whatever mode the modules around them are in."""

from typing import Self

from torch import nn


class KeepsFrozenParts(nn.Module):
    """A module whose frozen parts stay in evaluation mode.

    A part is frozen when it has parameters and none of them requires gradients. ``train()`` of a training loop reaches
    every module inside of it; batch normalization would then replace its statistics for good, and stochastic depth
    would make results random."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts that are not frozen."""
        super().train(mode)
        for module in self.modules() if mode else ():
            gradients = [parameter.requires_grad for parameter in module.parameters()]
            if gradients and not any(gradients):
                module.eval()
        return self

    def refreeze(self) -> None:
        """Set the mode anew where a loop over ``modules()`` set batch normalization to training."""
        if any(module.training for module in self.modules() if isinstance(module, nn.BatchNorm2d)):
            self.train(self.training)
