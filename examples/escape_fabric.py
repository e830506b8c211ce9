"""Leave a saddle with AdamW in Escape, in a loop of your own under Lightning Fabric.

    pip install lightning
    python examples/escape_fabric.py

``fabric.setup`` wraps Escape as it wraps any optimizer. ``loss`` is given once, at construction, so
the loop stays what it was; `loss` reads the batch of the loop when a look asks.
"""

import torch
from at_saddle import Autoencoder, data, error, report
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from saddlelib.optim import Escape


def main(epochs=10, devices=1, **settings):
    """Train for some epochs; returns the loss at the end. ``settings`` are Fabric's."""
    fabric = Fabric(accelerator="cpu", devices=devices, **settings)
    fabric.seed_everything(0, verbose=False)
    fabric.launch()
    model = Autoencoder()
    optimizer = Escape(torch.optim.AdamW(model.parameters(), lr=2e-3),
                       loss=lambda: error(model, x))
    model, optimizer = fabric.setup(model, optimizer)
    loader = fabric.setup_dataloaders(DataLoader(data(), batch_size=64, shuffle=True))
    for _ in range(epochs):
        for x in loader:
            optimizer.zero_grad()
            fabric.backward(error(model, x))
            fabric.clip_gradients(model, optimizer, max_norm=1.0)
            optimizer.step()
    return report(model, optimizer)


if __name__ == "__main__":
    main()
