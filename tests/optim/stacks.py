"""One job, trained as each framework trains: the loops of the tests of Escape in frameworks.

A job says what is to be trained; each function of `FRAMEWORKS` lets a framework do it, and each of
`STAND_INS` calls the optimizer as a framework does, without one. All return a `Run`.
"""

import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


@dataclass
class Job:
    """What is to be trained."""

    model: nn.Module
    make: Callable  # make(parameters, loss) is the optimizer; loss() that of the present batch
    batches: list  # of an epoch, tensors of shape (samples, features)
    _: KW_ONLY
    epochs: int = 1
    first: int = 0  # epochs that the run of `resume` has made of these
    accumulate: int = 1
    clip: float | None = None
    schedule: Callable | None = None  # schedule(optimizer) is a scheduler, stepped with it
    seed: int = 0
    save: Path | None = None  # a checkpoint is written here after the last epoch
    resume: Path | None = None  # and this one read before the first
    skip: int = 0  # Lightning: every so many batches there is nothing to learn from
    half: bool = False  # let the framework compute in bfloat16 where it likes to


@dataclass
class Run:
    """What is left of it."""

    optimizer: object = None  # the one that `make` made
    losses: list = field(default_factory=list)  # of each batch, before the step
    rates: list = field(default_factory=list)  # the learning rate of each step
    counts: dict = field(default_factory=dict)  # what the framework itself counts


def error(model, x):
    """Mean squared distance of the rows of ``x`` from what the model makes of them."""
    return (model(x) - x).square().sum(1).mean()


def _rate(optimizer):
    return float(optimizer.param_groups[0]["lr"])


def _clip(job, model):
    if job.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), job.clip)


def _skipped(job, i):
    return job.skip and i % job.skip == 0


def _module(job, run):
    """The job as a LightningModule."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = job.model

        def on_train_batch_start(self, batch, batch_idx):
            self.batch = batch  # before the optimizer's step, which calls training_step

        def loss_of(self, batch):
            loss = error(self.model, batch)
            run.losses.append(loss.item())
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def training_step(self, batch, batch_idx):
            loss = self.loss_of(batch)
            return None if _skipped(job, batch_idx) else loss

        def on_before_optimizer_step(self, optimizer):
            run.counts["hook"] = run.counts.get("hook", 0) + 1
            run.rates.append(_rate(optimizer))

        def configure_optimizers(self):
            loss = lambda: error(self.model, self.batch)  # noqa: E731
            run.optimizer = job.make(self.model.parameters(), loss)
            if job.schedule is None:
                return run.optimizer
            return {"optimizer": run.optimizer,
                    "lr_scheduler": {"scheduler": job.schedule(run.optimizer), "interval": "step"}}

    class Manual(Module):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer, loss = self.optimizers(), self.loss_of(batch)
            self.manual_backward(loss / job.accumulate)
            if (batch_idx + 1) % job.accumulate == 0:
                _clip(job, self.model)
                optimizer.step()
                optimizer.zero_grad()
                if job.schedule is not None:
                    self.lr_schedulers().step()

    return Module, Manual


def lightning(job, manual=False, folder=None, **settings):
    """Lightning's Trainer; by hand where ``manual``, with a log where there is a ``folder``."""
    import lightning as framework
    from torch.utils.data import DataLoader

    run = Run()
    torch.manual_seed(job.seed)
    module = _module(job, run)[manual]()
    if not manual:
        settings |= {"gradient_clip_val": job.clip, "accumulate_grad_batches": job.accumulate}
    logger = folder is not None and framework.pytorch.loggers.CSVLogger(folder)
    trainer = framework.Trainer(
        max_epochs=job.epochs, accelerator="cpu", logger=logger, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
        precision="bf16-mixed" if job.half else None, **settings)
    trainer.fit(module, DataLoader(job.batches, batch_size=None),
                ckpt_path=job.resume and str(job.resume), weights_only=True)
    run.counts |= {"steps": trainer.global_step,
                   "mean loss": float(trainer.callback_metrics["loss"])}
    if not manual:
        progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
        run.counts |= {"zero_grad": progress.zero_grad.total.completed,
                       "step": progress.step.total.completed}
    if job.save:
        trainer.save_checkpoint(job.save)
    return run


def fabric(job):
    """A loop of one's own under Lightning Fabric."""
    from lightning.fabric import Fabric

    run, batch = Run(), None
    torch.manual_seed(job.seed)
    framework = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if job.half else None)
    framework.launch()
    run.optimizer = job.make(job.model.parameters(), lambda: error(job.model, batch))
    scheduler = job.schedule and job.schedule(run.optimizer)
    model, optimizer = framework.setup(job.model, run.optimizer)
    if job.resume:
        framework.load(job.resume, {"model": model, "optimizer": optimizer})
    for _ in range(job.first, job.epochs):
        for i, batch in enumerate(job.batches):  # noqa: B007
            last = (i + 1) % job.accumulate == 0
            with framework.no_backward_sync(model, enabled=not last):
                loss = error(model, batch)
                run.losses.append(loss.item())
                framework.backward(loss / job.accumulate)
            if last:
                if job.clip is not None:
                    framework.clip_gradients(model, optimizer, max_norm=job.clip)
                run.rates.append(_rate(optimizer))
                optimizer.step()
                optimizer.zero_grad()
                if scheduler:
                    scheduler.step()
    if job.save:
        framework.save(job.save, {"model": model, "optimizer": optimizer})
    return run


def accelerate(job):
    """A loop of one's own under Accelerate."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    run, batch = Run(), None
    torch.manual_seed(job.seed)
    framework = Accelerator(cpu=True, gradient_accumulation_steps=job.accumulate,
                            mixed_precision="bf16" if job.half else "no")
    run.optimizer = job.make(job.model.parameters(), lambda: error(job.model, batch))
    model, optimizer = framework.prepare(job.model, run.optimizer)
    scheduler = job.schedule and framework.prepare(job.schedule(run.optimizer))
    if job.resume:
        framework.load_state(str(job.resume))
    for _ in range(job.first, job.epochs):
        for batch in job.batches:  # noqa: B007
            with framework.accumulate(model):
                loss = error(model, batch)
                run.losses.append(loss.item())
                framework.backward(loss)
                if framework.sync_gradients:
                    if job.clip is not None:
                        framework.clip_grad_norm_(model.parameters(), job.clip)
                    run.rates.append(_rate(optimizer))
                optimizer.step()
                if scheduler:
                    scheduler.step()
                optimizer.zero_grad()
    run.counts["skipped"] = framework.optimizer_step_was_skipped
    if job.save:
        framework.save_state(str(job.save))
    return run


def trainer(job):
    """The Trainer of transformers."""
    import tempfile

    from accelerate.state import AcceleratorState, GradientState
    from escape_trainer import Remembering
    from transformers import TrainerCallback, TrainingArguments

    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    run = Run()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = job.model

        def forward(self, x):
            loss = error(self.model, x)
            return {"loss": loss}

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **more):
            run.rates.append(_rate(optimizer))

    class Recording(Remembering):
        def training_step(self, *args, **more):
            loss = super().training_step(*args, **more)
            run.losses.append(float(loss) * job.accumulate)
            return loss

    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            str(job.save or folder), num_train_epochs=job.epochs, seed=job.seed, use_cpu=True,
            per_device_train_batch_size=len(job.batches[0]), report_to=[], disable_tqdm=True,
            gradient_accumulation_steps=job.accumulate, max_grad_norm=job.clip or 0.0,
            save_strategy="epoch" if job.save else "no", logging_strategy="no",
            lr_scheduler_type="constant", bf16=job.half, train_sampling_strategy="sequential")
        loss = lambda: framework.loss()  # noqa: E731
        run.optimizer = job.make(job.model.parameters(), loss)
        framework = Recording(Model(), args, callbacks=[Watch()],
                              train_dataset=[{"x": x} for batch in job.batches for x in batch],
                              optimizers=(run.optimizer,
                                          job.schedule and job.schedule(run.optimizer)))
        resume = job.resume and str(max(job.resume.glob("checkpoint-*"),
                                        key=lambda path: path.stat().st_mtime))
        framework.train(resume_from_checkpoint=resume)
    run.counts |= {"steps": framework.state.global_step,
                   "mean loss": framework.state.log_history[-1]["train_loss"]}
    return run


def _load(job, optimizer):
    if job.resume:
        saved = torch.load(job.resume, weights_only=True)
        job.model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])


def _save(job, optimizer):
    if job.save:
        torch.save({"model": job.model.state_dict(), "optimizer": optimizer.state_dict()}, job.save)


class _LikeLightning:
    """LightningOptimizer and _FabricOptimizer: a class made at run time out of the optimizer's."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self.__class__ = type("Like", (_LikeLightning, type(optimizer)), {})

    def step(self, closure=lambda: None, after=lambda: None):
        def wrapped(closure):
            result = closure()
            after()
            return result
        return self._optimizer.step(closure=partial(wrapped, closure))

    def __getattr__(self, name):
        return getattr(self._optimizer, name)


def like_lightning(job, manual=False):
    """Lightning: always with a closure, which by hand does nothing and returns None.

    Otherwise it returns a fraction of the loss, or None for a batch that is skipped, keeps the
    gradients of earlier batches, clips, and has to be called.
    """
    run, batch = Run(), None
    torch.manual_seed(job.seed)
    run.optimizer = job.make(job.model.parameters(), lambda: error(job.model, batch))
    optimizer = _LikeLightning(run.optimizer)
    scheduler = job.schedule and job.schedule(run.optimizer)
    _load(job, run.optimizer)
    for _ in range(job.first, job.epochs):
        for i, batch in enumerate(job.batches):
            done = []

            def closure(i=i, batch=batch, done=done):
                loss = error(job.model, batch)
                if i % job.accumulate == 0:
                    optimizer.zero_grad()
                done.append(loss.item())
                if _skipped(job, i):
                    return None
                (loss / job.accumulate).backward()
                return loss.detach() / job.accumulate

            last = (i + 1) % job.accumulate == 0
            if last:
                run.rates.append(_rate(optimizer))
            if manual or not last:
                closure()
            if manual and last:
                _clip(job, job.model)
                optimizer.step()
            elif last:
                optimizer.step(closure, after=partial(_clip, job, job.model))
            run.losses.append(done[-1])
            run.counts["calls"] = run.counts.get("calls", 0) + len(done)
            if last and scheduler:
                scheduler.step()
    _save(job, run.optimizer)
    return run


def _rebuilt(tree):
    """As accelerate moves a state to a device: every container made anew."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_rebuilt, tree))
    if isinstance(tree, dict):
        return type(tree)({key: _rebuilt(value) for key, value in tree.items()})
    return tree.to("cpu") if isinstance(tree, torch.Tensor) else tree


class _LikeAccelerate(torch.optim.Optimizer):
    """AcceleratedOptimizer: loads at once what it has saved, and steps without a closure."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        optimizer.load_state_dict(_rebuilt(optimizer.state_dict()))

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)
    defaults = property(lambda self: self.optimizer.defaults)

    def state_dict(self):
        return self.optimizer.state_dict()

    def load_state_dict(self, state):
        self.optimizer.load_state_dict(state)

    def zero_grad(self):
        self.optimizer.zero_grad(set_to_none=True)

    def step(self, closure=None):
        self.optimizer.step(closure)


def like_accelerate(job):
    """Accelerate, Fabric and the Trainer: gradients first, clipped, then a step without closure."""
    run, batch = Run(), None
    torch.manual_seed(job.seed)
    run.optimizer = job.make(job.model.parameters(), lambda: error(job.model, batch))
    optimizer = _LikeAccelerate(run.optimizer)
    scheduler = job.schedule and job.schedule(run.optimizer)
    _load(job, optimizer)
    for _ in range(job.first, job.epochs):
        for i, batch in enumerate(job.batches):  # noqa: B007
            loss = error(job.model, batch)
            run.losses.append(loss.item())
            (loss / job.accumulate).backward()
            if (i + 1) % job.accumulate == 0:
                _clip(job, job.model)
                run.rates.append(_rate(optimizer))
                optimizer.step()
                optimizer.zero_grad()
                if scheduler:
                    scheduler.step()
    _save(job, optimizer)
    return run


FRAMEWORKS = {
    "lightning": lightning,
    "lightning by hand": partial(lightning, manual=True),
    "fabric": fabric,
    "accelerate": accelerate,
    "trainer": trainer,
}
STAND_INS = {
    "like lightning": like_lightning,
    "like lightning by hand": partial(like_lightning, manual=True),
    "like accelerate": like_accelerate,
}
