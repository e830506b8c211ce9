"""Leave a saddle with AdamW in Escape, trained by Lightning.

    pip install lightning
    python examples/escape_lightning.py

Keep the batch where ``loss`` finds it, and do so in ``on_train_batch_start``: Lightning begins the
optimizer's step before `training_step`. Nothing else changes. A learning-rate scheduler has to hold
the optimizer that is returned, which is Escape, not the one inside. With manual optimization call
``self.optimizers().step()`` as ever.
"""

import lightning
import torch
from at_saddle import Autoencoder, data, error, report
from torch.utils.data import DataLoader

from saddlelib.optim import Escape


class Module(lightning.LightningModule):
    """The autoencoder with its training step."""

    def __init__(self):
        super().__init__()
        self.model = Autoencoder()

    def on_train_batch_start(self, batch, batch_idx):
        """Keep the batch for the looks of the optimizer."""
        self.batch = batch

    def training_step(self, batch, batch_idx):
        """The loss of a batch."""
        loss = error(self.model, batch)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        """AdamW, which looks at the curvature where it stands still."""
        inner = torch.optim.AdamW(self.model.parameters(), lr=2e-3)
        return Escape(inner, loss=lambda: error(self.model, self.batch))


def main(epochs=10, **settings):
    """Train for some epochs; returns the loss at the end. ``settings`` are the Trainer's."""
    lightning.seed_everything(0, verbose=False)
    module = Module()
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", logger=False,
                                enable_checkpointing=False, enable_progress_bar=False,
                                enable_model_summary=False, **settings)
    trainer.fit(module, DataLoader(data(), batch_size=64, shuffle=True))
    return report(module.model, trainer.optimizers[0])


if __name__ == "__main__":
    main()
