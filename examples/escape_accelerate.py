"""Leave a saddle with AdamW in Escape, in a loop of your own under Accelerate.

    pip install accelerate
    python examples/escape_accelerate.py

``prepare`` wraps Escape as it wraps any optimizer. ``loss`` is given once, at construction, so the
loop stays what it was, here with gradients that are accumulated over two batches and clipped. A
look asks ``loss`` for the last of the two.
"""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from at_saddle import Autoencoder, data, error, report
from torch.utils.data import DataLoader

from saddlelib.optim import Escape


def main(epochs=20):
    """Train for some epochs; returns the loss at the end."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    set_seed(0)
    model = Autoencoder()
    escape = Escape(torch.optim.AdamW(model.parameters(), lr=2e-3), loss=lambda: error(model, x))
    loader = DataLoader(data(), batch_size=64, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, escape, loader)
    for _ in range(epochs):
        for x in loader:
            with accelerator.accumulate(model):
                accelerator.backward(error(model, x))
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    return report(model, escape)


if __name__ == "__main__":
    main()
