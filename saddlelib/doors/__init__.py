"""The doors: what people call, translated into a method, an oracle and a run."""

from .minimize import certified, gd, minimize, pgd, psd, psgd

__all__ = ["certified", "gd", "minimize", "pgd", "psd", "psgd"]
