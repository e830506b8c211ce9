"""Leave a saddle with AdamW in Escape, trained by the Trainer of Hugging Face's transformers.

    pip install transformers accelerate
    python examples/escape_trainer.py

The optimizer goes in by ``optimizers=``; the Trainer makes the learning-rate schedule for it. It
calls ``step()`` without a closure, so it has to keep the batch where ``loss`` finds it. A model
that returns its loss, as those of transformers do, needs no more than `Remembering`.
"""

import tempfile

import torch
from at_saddle import Autoencoder, data, error, report
from transformers import Trainer, TrainingArguments

from saddlelib.optim import Escape


class Remembering(Trainer):
    """A Trainer that can tell the loss of its present batch again."""

    def compute_loss(self, model, inputs, **more):
        """What it always is; the batch is kept."""
        self.batch = inputs
        return super().compute_loss(model, inputs, **more)

    def loss(self):
        """The loss of the present batch at the present weights."""
        return super().compute_loss(self.model, self.batch)


class Model(torch.nn.Module):
    """The autoencoder; it returns its loss under that name."""

    def __init__(self):
        super().__init__()
        self.model = Autoencoder()

    def forward(self, x):
        """The loss of a batch."""
        return {"loss": error(self.model, x)}


def main(epochs=10, **settings):
    """Train for some epochs; returns the loss at the end. ``settings`` are TrainingArguments."""
    model = Model()
    escape = Escape(torch.optim.AdamW(model.parameters(), lr=2e-3), loss=lambda: trainer.loss())
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(folder, num_train_epochs=epochs, per_device_train_batch_size=64,
                                 use_cpu=True, report_to=[], save_strategy="no", seed=0,
                                 disable_tqdm=True, logging_strategy="no", **settings)
        trainer = Remembering(model, args, train_dataset=[{"x": x} for x in data()],
                              optimizers=(escape, None))
        trainer.train()
    return report(model.model, escape)


if __name__ == "__main__":
    main()
