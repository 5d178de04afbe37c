"""The loop: step, log, validate, keep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mrpose_cli.errors import MrposeError, parameter
from mrpose_cli.models.backbone import backbone_norms
from mrpose_cli.models.supervision import Trainable
from mrpose_cli.ranks import Ranks
from mrpose_cli.training.batches import Augmenter, Batch, Sampler, epoch_rows, step_seed
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.data import Data
from mrpose_cli.training.log import TRAIN, VALIDATION, Log, draw_curve
from mrpose_cli.training.optimize import Average, learning_rate, make_optimizer
from mrpose_cli.training.precision import autocast, autocast_type
from mrpose_cli.training.state import State
from mrpose_cli.training.targets import heatmaps, summed_loss
from mrpose_cli.training.teacher import Teacher
from mrpose_cli.training.validate import Validator

_ENDLESS = 2**62  # steps, while the clock has not said how many there will be
_ASK_EVERY = 5.0  # s between two agreements of several processes on whether to stop


@dataclass(frozen=True, slots=True)
class Report:
    """The progress of a run.

    Attributes:
        step: Steps done.
        total: Steps in all, by the clock so far; None if that is too early to say.
        rate: Crops a second over all processes, lately.
        loss: Mean since the last report.
        ap: The figure of the last validation that selects checkpoints; None before the first.
        pck: PCK@0.1 of the same crops.
    """

    step: int
    total: int | None
    rate: float
    loss: float
    ap: float | None
    pck: float | None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callbacks of the training loop.

    Attributes:
        stepped: Called after every step with the steps done and, if that is known, the steps in all.
        reported: Called with every line of the log.
        improved: Called with the network, with averaged weights, when a validation beat all others.
        interrupted: Returns whether a stop is requested.
    """

    stepped: Callable[[int, int | None], None] = lambda step, total: None
    reported: Callable[[Report], None] = lambda report: None
    improved: Callable[[nn.Module], None] = lambda network: None
    interrupted: Callable[[], bool] = lambda: False


class Trainer:
    """One process of a run.

    Args:
        config: The run.
        network: The network to train; it is moved to the device.
        data: This process's data, the labels on the device.
        augmenter: Makes batches.
        teacher: The network to distill from; None for none.
        ranks: The processes of the run.
        device: Where this process trains.
        start: What the network starts from, in words.
        hooks: Callbacks.

    Attributes:
        step: Steps done.
        total: Steps in all; a very large number until the clock has decided.
        seconds: How long they took, over all resumptions, validations included.
        best: Highest validation figure so far; None before the first.
        best_step: After which step it was reached.
        settled: Whether the run ended early, since validations no longer became better.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        data: Data,
        augmenter: Augmenter,
        *,
        teacher: Teacher | None,
        ranks: Ranks,
        device: torch.device,
        start: str,
        hooks: Hooks,
    ) -> None:
        self._config, self._crops, self._augmenter, self._teacher = config, data.train, augmenter, teacher
        self._ranks, self._device, self._hooks = ranks, device, hooks
        self._digest, self._start = data.digest, start
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self._network = network.train().to(device=device, memory_format=layout)  # type: ignore[call-overload]
        if config.freeze_norms:
            for norm in backbone_norms(self._network):
                norm.eval()
        self._dtype = autocast_type(config.precision, device)
        self._optimizer = make_optimizer(self._network, config, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._average = Average(self._network, config.ema)
        trainable = Trainable(self._network)
        self._supervision = trainable.supervision
        self._forward = self._wrapped(trainable)
        rows = epoch_rows(self._crops.labels, config.human_repeat)
        seed = (config.seed, ranks.rank)
        self._sampler = Sampler(rows, config.batch_size, seed, self._crops.pixels.device)
        self._validator = Validator(data.held_out, augmenter, self._autocast) if data.held_out else None
        self._meter = torch.zeros(2, device=device)
        self._metered = 0
        # Processes may have a crop more or less; they must validate after the same steps.
        self._epoch_steps = ranks.agree(lambda: self._sampler.epoch_steps)
        self.step, self.total, self.seconds = 0, self._length(), 0.0
        self.best: float | None = None
        self.best_step = 0
        self.settled = False
        self._ap: float | None = None
        self._pck: float | None = None

    def _wrapped(self, forward: nn.Module) -> Callable[[Tensor], list[Tensor]]:
        if self._ranks.size > 1:
            from torch.nn.parallel import DistributedDataParallel

            forward = DistributedDataParallel(
                forward, device_ids=[self._device] if self._device.type == "cuda" else None
            )
        return torch.compile(forward) if self._config.compile else forward

    def _autocast(self) -> torch.autocast:
        return autocast(self._dtype, self._device)

    def _length(self) -> int:
        config = self._config
        if config.minutes is not None:
            return _ENDLESS
        if config.samples is not None:
            return max(1, math.ceil(config.samples / (config.batch_size * self._ranks.size)))
        return max(1, math.ceil((config.epochs or 0) * self._epoch_steps))

    @property
    def planned(self) -> int | None:
        """Steps in all; None while the clock has not said."""
        return None if self.total == _ENDLESS else self.total

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights, in evaluation mode."""
        return self._average.network

    @property
    def samples(self) -> int:
        """Crops seen by all processes."""
        return self.step * self._config.batch_size * self._ranks.size

    def resume(self, state: State) -> None:
        """Continue from a checkpoint."""
        self._network.load_state_dict(state.network)
        self._average.network.load_state_dict(state.average)
        self._optimizer.load_state_dict(state.optimizer)
        self._scaler.load_state_dict(state.scaler)
        self._meter.copy_(state.meter)
        self._metered, self.step, self.seconds = state.metered, state.step, state.seconds
        self.best, self.best_step = state.best, state.best_step
        if self._config.minutes is not None:
            self.total = state.total

    def state(self) -> State:
        """Return everything that a checkpoint needs."""
        return State(
            config=self._config.to_plain(),
            digest=self._digest,
            ranks=self._ranks.size,
            start=self._start,
            step=self.step,
            total=self.total,
            seconds=self.seconds,
            best=self.best,
            best_step=self.best_step,
            meter=self._meter,
            metered=self._metered,
            network=self._network.state_dict(),
            average=self._average.network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            scaler=self._scaler.state_dict(),
        )

    def run(self, log: Log | None) -> bool:
        """Train to the end, or until a stop is requested; a checkpoint is written in either case.

        Args:
            log: The log, at the first process; None at the others.

        Returns:
            Whether the end was reached.

        Raises:
            MrposeError: the loss is no longer a number.
            OutputError: a file could not be written.
        """
        began = saved = time.monotonic()
        before, reported = self.seconds, (time.monotonic(), self.step)
        stop, self.total, ask_at = self._agreed(began)
        self.settled = self._is_settled()
        if log is not None and self.step == 0:
            self._save()  # so that whatever is written from now on can be gone on with
        while self.step < self.total and not stop and not self.settled:
            self._train_step()
            self.step += 1
            self.seconds = before + time.monotonic() - began
            self._hooks.stepped(self.step, self.planned)
            if self.step % self._config.log_every == 0 or self.step == self.total:
                reported = self._report(log, reported)
            if self.step >= ask_at:
                stop, self.total, ask_at = self._agreed(began)
            if self._validation_due():
                pause = time.monotonic()
                self._validate(log)
                self.settled = self._is_settled()
                reported = reported[0] + time.monotonic() - pause, reported[1]
            self.seconds = before + time.monotonic() - began
            if log is not None and time.monotonic() - saved >= 60 * self._config.checkpoint_every:
                self._save()
                saved = time.monotonic()
        if log is not None:
            self._save()
        self._ranks.wait()
        return self.step >= self.total or self.settled

    def _is_settled(self) -> bool:
        """Agree on whether as many validations as ``patience`` says have passed since the best."""
        patience, every = self._config.patience, self._config.val_every * self._epoch_steps

        def decide() -> bool:
            if patience is None or self.best is None:
                return False
            return int(self.step / every) - int(self.best_step / every) >= patience

        return self._ranks.agree(decide)

    def _train_step(self) -> None:
        config = self._config
        seed = step_seed(config.seed, self._ranks.rank, self.step)
        batch = self._augmenter.training(self._crops, self._sampler.step(self.step), seed)
        torch.manual_seed(seed)  # for dropout and the like
        for group in self._optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(config, self.step, self.total)
        loss = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), config.clip or math.inf)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._ranks.first:
            self._average.update(self.step)
        # An overflow of fp16 skips its step and is no news.
        self._meter += torch.stack([loss.detach(), norm.nan_to_num(0.0, 0.0, 0.0)])
        self._metered += 1

    def _loss(self, batch: Batch) -> Tensor:
        config, size = self._config, self._augmenter.size
        with self._autocast():
            predicted = self._forward(batch.images)

        def sigma(spread: float) -> float:
            return config.sigma * spread

        def drawn(spread: float) -> Tensor:
            return heatmaps(batch.points, size, sigma(spread))

        loss = summed_loss(predicted, self._supervision, drawn, batch.weights, sigma)
        if self._teacher is None or batch.clean is None:
            return loss
        taught, weights = self._teacher.target(batch.clean)
        distilled = summed_loss(
            predicted, self._supervision, lambda _: taught, weights, lambda _: config.sigma
        )
        return (1 - config.teacher_weight) * loss + config.teacher_weight * distilled

    def _report(self, log: Log | None, last: tuple[float, int]) -> tuple[float, int]:
        loss, norm = (self._meter / self._metered).tolist()  # the one wait for the device
        self._meter.zero_()
        self._metered = 0
        if not math.isfinite(loss):
            raise MrposeError(
                f"the loss is no longer a number after {self.step} steps; lower {parameter('lr')}"
            )
        now, (then, step) = time.monotonic(), last
        rate = (self.step - step) * self._config.batch_size * self._ranks.size / max(now - then, 1e-9)
        if log is not None:
            log.write(
                TRAIN,
                self.step,
                samples=self.samples,
                epoch=self.step / self._epoch_steps,
                loss=loss,
                gradient=norm,
                lr=learning_rate(self._config, self.step - 1, self.total),
                samples_per_s=rate,
                seconds=self.seconds,
            )
        self._hooks.reported(Report(self.step, self.planned, rate, loss, self._ap, self._pck))
        return now, self.step

    def _agreed(self, began: float) -> tuple[bool, int, int]:
        """Agree on whether to stop, the number of steps, and when to ask again; the first process decides.

        One process asks at every step, several about every `_ASK_EVERY` seconds: agreeing stops a GPU.
        """

        def decide() -> tuple[bool, int, int]:
            config, total = self._config, self.total
            if config.minutes is not None and self.step:
                total = max(self.step, int(60 * config.minutes / (self.seconds / self.step)))
            spent = (time.monotonic() - began) / 60
            timed = config.stop_after is not None and spent >= config.stop_after
            pause = 1
            if self._ranks.size > 1 and self.step:
                pause = min(max(int(_ASK_EVERY / (self.seconds / self.step)), 1), config.log_every)
            return timed or self._hooks.interrupted(), total, self.step + pause

        return self._ranks.agree(decide)

    def _validation_due(self) -> bool:
        every = self._config.val_every * self._epoch_steps
        return self.step >= self.total or int(self.step / every) > int((self.step - 1) / every)

    def _validate(self, log: Log | None) -> None:
        if self._validator is None or log is None:
            return
        figures = self._validator(self._average.network)
        log.write(
            VALIDATION,
            self.step,
            samples=self.samples,
            epoch=self.step / self._epoch_steps,
            ap=figures.ap,
            ap_human=figures.ap_human,
            oks=figures.oks,
            pck=figures.pck,
            pck_human=figures.pck_human,
            seconds=self.seconds,
        )
        by_people = self._config.best_by == "human" and figures.ap_human is not None
        self._ap = ap = (figures.ap_human if by_people else figures.ap) or 0.0
        self._pck = figures.pck_human if by_people else figures.pck
        if self.best is None or ap >= self.best:  # of equals, the last has seen most
            self.best, self.best_step = ap, self.step
            self._hooks.improved(self._average.network)

    def _save(self) -> None:
        self.state().save(self._config.out)
        draw_curve(self._config.out, f"{self._config.model}, {self._config.input_size}")
