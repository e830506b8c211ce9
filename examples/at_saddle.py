"""A small task that begins exactly at a saddle, for the scripts that show Escape in a framework."""

import torch
from torch import nn
from train import digits


class Autoencoder(nn.Module):
    """x ↦ W₂ tanh(W₁x) with all weights 0, where every gradient is exactly 0.

    The Hessian has negative eigenvalues there, so this is a strict saddle: an optimizer that steps
    by gradients alone stays, whatever its learning rate.
    """

    def __init__(self, features=64, hidden=16):
        super().__init__()
        self.encode = nn.Linear(features, hidden, bias=False)
        self.decode = nn.Linear(hidden, features, bias=False)
        for p in self.parameters():
            nn.init.zeros_(p)

    def forward(self, x):
        """The reconstruction of each row of ``x``, shape (samples, features)."""
        return self.decode(self.encode(x).tanh())


def error(model, x):
    """Mean squared distance of the rows of ``x`` from their reconstructions; 1 at the saddle."""
    return (model(x) - x).square().sum(1).mean()


def data(samples=1792):
    """Digits around their mean, scaled to mean squared norm 1: a float tensor (samples, 64)."""
    return digits("cpu", torch.float32)[:samples]


def report(model, optimizer):
    """One line: the loss on all digits, and what the optimizer saw and did."""
    with torch.no_grad():
        loss = float(error(model, data()))
    moves, steps = optimizer.counts["moves"], optimizer.counts["steps"]
    print(f"loss {loss:.3f}, 1 at the saddle; moves in {steps} steps: {moves}; {optimizer.message}")
    return loss
