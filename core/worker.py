"""The worker: one process that carries out a run, writes what it finds and answers commands. Ends by itself.

Exit codes: 0 finished or stopped, 2 a person must change something, 1 a fault of the program.
"""

from __future__ import annotations

import errno
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch
from tqdm import tqdm

from . import base
from .backbones.device import free_memory
from .batch import in_flight
from .comparing import Gap
from .config import ROOT, RunConfig
from .control import Control, Stopped
from .diversity.distance import pairwise
from .diversity.metrics import base_scale
from .errors import UserError
from .follower import Build, Iterate
from .footprint import in_use, peak_memory
from .loading import build_trainer
from .lookout import Lookout
from .pictures import picture_rows
from .ranks import Ranks, out_of_memory
from .runs import checkpoints, compare, folder, lora_folder
from .runs.database import Database
from .runs.lora_header import model_title
from .training import SAMPLE, Diverged, Iteration, Trainer
from .yardstick import Yardstick

_PHASES = {"rollout": "making pictures", "decode": "decoding pictures", "reward": "scoring", "diversity": "finding looks", "update": "learning"}


class Worker:
    """Carries out one run from its folder, alone or with the other processes of `ranks`, which follow."""

    def __init__(self, run: folder.Run, *, resume: bool, follow: bool = True, ranks: Ranks | None = None):
        self.run, self.resume, self.follow, self.ranks = run, resume, follow, ranks or Ranks()
        self.config: RunConfig = run.config()
        self.db: Database = run.database()
        self.iteration = 0
        self.prompts: dict[int, base.PromptBase] = {}
        self._commit_seconds = 0.0  # of the last iteration's transaction
        self._warned = False
        self._level = 1.0  # of the base's variety, as the iteration draws, over that at the start
        self._resting = 0  # bytes in use before the phase under way
        self.successor: folder.Run | None = None  # the branch that goes on instead of this run

    def carry_out(self) -> int:
        folder.claim(self.db, model_title(self.config))
        self.db.set_status(iterations=self.config.iterations)
        if not self.resume:
            self.db.add_event("started", 0)
        # What was asked of a process that is gone; what was asked of this one while it started stays.
        self.db.write(
            "UPDATE commands SET taken = ?, answer = 'the trainer was not running' WHERE taken IS NULL AND kind != 'set' AND time < ?",
            time.time(), psutil.Process().create_time(),
        )  # fmt: skip
        self.control = Control(self.db)
        try:
            try:
                self._prepare()
                self._loop()
                self._end("finished", f"Finished {self.iteration} iterations.")
            except Stopped:
                self._end("stopped", f"Rolled back: {self.successor.name} goes on." if self.successor else f"Stopped at {self.iteration}.")
            except KeyboardInterrupt:
                self._end("stopped", f"Stopped at {self.iteration} from the keyboard.")
            return 0
        except BaseException as error:
            return self._last_words(error)
        finally:
            self.control.close()
            self.db.close()

    # --- before the loop ----------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        config = self.config
        self._check_ranks()
        state: dict = {}
        tensors = None
        saved = checkpoints.all_of(self.run)
        if self.resume and saved:
            tensors, state = checkpoints.load(self.run, saved[-1])
            config = self.config = config.with_changes(**state["dials"])
        # the base was measured in this arithmetic, whatever would be faster today
        known = self.db.status()["device"] if (self.run.path / "base.npz").exists() else None
        self.trainer = self._build(config, state.get("arithmetic") or (known or "").partition(", ")[2] or None)
        backbone = self.trainer.backbone
        self.control.device_type = backbone.device.type
        self.trainer.between, self.trainer.ranks = self._between, self.ranks
        self.db.set_status(device=f"{backbone.device.type}, {backbone.arithmetic}")
        if tensors is not None:
            self.trainer.load(tensors, state["scalars"])
            self.iteration = state["iteration"]
        self.control.between()

        measured = self.run.path / "base.npz"
        if measured.exists():
            self.prompts = base.load(measured)
            self.trainer.rewards.load_state_dict(folder.yardstick(self.run))
        else:
            self._measure_base()
        self.trainer.scales = {prompt: known.scale for prompt, known in self.prompts.items()}
        self.db.forget_after(self.iteration)
        compare.forget_after(self.run, self.iteration)
        self._turn_again()
        self.lookout = Lookout(self.run, self.db, self.control, self.config)
        if self.resume:
            self.db.add_event("state", self.iteration + 1, state="resumed")
        if self.follow:
            self._start_mapper()

    def _check_ranks(self) -> None:
        """Raises UserError if there are more processes than pictures of an optimizer step."""
        c = self.config
        anchors = c.hrf_anchors_per_prompt if c.window.startswith("hrf") else 1
        pictures = c.prompts_per_iteration * anchors * (c.group_size // min(c.updates_per_iteration, c.group_size))
        if self.ranks.count > pictures:
            raise UserError(
                f"processes: {self.ranks.count} cannot share the {pictures} pictures of an optimizer step. "
                f"Use at most {pictures}, or more pictures (group_size, prompts_per_iteration)."
            )

    def _between(self) -> None:
        self._heed()
        self.control.between()

    def _heed(self) -> None:
        """Among several processes an interrupt waits until here: between two meetings."""
        if self.ranks.interrupted:
            raise KeyboardInterrupt

    def _build(self, config: RunConfig, arithmetic: str | None) -> Trainer:
        def part(number: int, of: int) -> None:
            self.db.set_status(message=f"Loading {model_title(config)} ({number} of {of} parts)")

        def loaded(what: str) -> None:
            if what == "model":
                self.db.set_status(message="Loading the rewards and the likeness measure")

        trainer = build_trainer(config, arithmetic=arithmetic, part=part, loaded=loaded)
        trainer.entering = self._entering
        return trainer

    def _entering(self, phase: str) -> None:
        """What is in use before a phase of an iteration is there with fewer pictures too."""
        self._resting = in_use(self.trainer.backbone.device.type)

    def _turn_again(self) -> None:
        """Dials that were turned after the checkpoint from which this run goes on, in force from its next iteration."""
        lost = [e for e in self.db.events() if e["kind"] == "dial" and e["iteration"] > self.iteration]
        if lost:
            self.config = self.config.with_changes(**{e["name"]: e["new"] for e in lost})
            self.trainer.adopt(self.config)
            self.db.write("UPDATE events SET iteration = ? WHERE kind = 'dial' AND iteration > ?", self.iteration + 1, self.iteration)

    def _measure_base(self) -> None:
        """Base pictures of every mapped prompt; looks, PCA and the scale of the rewards follow from them."""
        config, trainer = self.config, self.trainer
        self.db.write("DELETE FROM pictures")
        self.db.write("DELETE FROM looks")
        chosen = base.mapped_prompts(config)
        for number, text in enumerate(config.prompts):
            self.db.write("INSERT OR REPLACE INTO prompts (prompt, text, mapped) VALUES (?, ?, ?)", number, text, 0)
        total = config.base_pictures * len(chosen)
        raw: dict[int, dict[str, torch.Tensor]] = {}
        rows: dict[int, tuple] = {}
        for turn, prompt in enumerate(chosen):
            def done(n: int, turn=turn) -> None:
                made = turn * config.base_pictures + n
                self.db.set_status(phase="base pictures", done=made, total=total, message=f"Making {total} base pictures, {made} done")
            done(0)
            seeds, images = base.picture_prompt(trainer, prompt, config.base_pictures, done)
            raw[prompt] = trainer.rewards(images, [config.prompts[prompt]] * len(seeds)).raw
            features = trainer.perceptual.embed(images)
            if not turn:
                folder.write_atomically(self.run.film, base.film(trainer, prompt))
            rows[prompt] = (seeds, images, features)
        together = {name: torch.cat([r[name] for r in raw.values()]) for name in config.rewards}
        for name, values in together.items():
            if not values.isfinite().any():
                raise UserError(f"rewards: {name} scored none of the {len(values)} base pictures, so there is nothing to learn by. Mend the reward, or leave it out.", "rewards")
        trainer.rewards.fit_scale(together)
        self.db.set_status(phase="map", message="Finding the looks", done=0, total=0)
        variety, shares = {}, {}
        for prompt, (seeds, images, features) in rows.items():
            plain = features.float().cpu().numpy()
            distances = pairwise(features)
            scale = base_scale(distances)
            looks, pca = base.Looks.fit(plain, seed=config.seed), base.Pca.fit(plain)
            self.prompts[prompt] = base.PromptBase(looks, pca, scale)
            quality = trainer.rewards.combine(raw[prompt])
            ids = self.db.add_pictures(picture_rows(
                "base", 0, prompt, seeds, images, plain, raw[prompt], quality, placed=self.prompts[prompt].place(plain),
            ))
            labels = looks.assign(plain)
            shares[str(prompt)] = looks.shares(labels)
            for look, share in enumerate(shares[str(prompt)][:-1]):
                self.db.write("INSERT INTO looks VALUES (?, ?, ?, ?)", prompt, look, share, ids[int(looks.medoids[look])])
            self.db.write("UPDATE prompts SET mapped = 1 WHERE prompt = ?", prompt)
            variety[str(prompt)] = base.variety_at(distances, config.group_size, scale)
        self.db.add_iteration(0, 0.0, {
            "reward": 0.0, "reward_raw": {name: values.nanmean().item() for name, values in together.items()},
            "vendi": float(np.mean(list(variety.values()))), "vendi_by_prompt": variety, "look_shares": shares, "dials": self._dials(),
            "sigmas": trainer.levels,
        })
        folder.write_atomically(self.run.path / "rewards.json", json.dumps(trainer.rewards.state_dict()))
        base.save(self.run.path / "base.npz", self.prompts)

    def _start_mapper(self) -> None:
        """The map is laid out by a process of its own: UMAP's compiling must not hold up training."""
        with open(self.run.log, "ab") as log:
            subprocess.Popen([sys.executable, "-m", "core.mapper", str(self.run.path.absolute())], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    # --- the loop -----------------------------------------------------------------------------------------------
    def _loop(self) -> None:
        self.db.set_status(state="running", message="", phase="make", done=0, total=0)
        gap, seconds = Gap(self.run, self.trainer, self.prompts, self.db), 0.0
        yardstick = Yardstick(self.db, self.trainer, self.prompts, self._drawing)
        self.control.while_paused = lambda: (self._heed(), gap.serve())
        if self.ranks.count > 1:
            self.ranks.meet(Build.of(self.trainer))
        with tqdm(total=self.config.iterations, initial=self.iteration, desc=self.run.name, unit="it", disable=None) as bar:
            while self.iteration < self.config.iterations:
                self._between()
                self.lookout.wait_for_disk(self.iteration)
                self.config = self.control.take_changes(self.config, self.iteration + 1, self.trainer.adopt)
                self._sample_on_request()
                self._level = yardstick.level(self.iteration + 1)
                gap.after(self.iteration, seconds)
                start = time.perf_counter()
                self.ranks.meet(Iterate(self.iteration + 1, self.config))
                with self.ranks.united():
                    iteration = self.trainer.iterate(self.iteration + 1)
                with uninterrupted():  # the policy has taken the step: it must not be saved as an iteration of which nothing is written
                    self.iteration += 1
                    self._record(iteration, start)
                seconds = time.perf_counter() - start
                bar.update()
                bar.set_postfix(reward=f"{iteration.metrics['reward']:.2f}", looks=f"{iteration.metrics['vendi']:.2f}")
                if self.iteration % self.config.checkpoint_every == 0:
                    self._save()
                self.successor = self.lookout.look(self.iteration, iteration.metrics, self.config)
                if self.successor:
                    raise Stopped

    def _record(self, iteration: Iteration, start: float) -> None:
        """Write the iteration and its pictures in one transaction, with what writing took last time."""
        clock = time.perf_counter()
        group, metrics, G = iteration.group, iteration.metrics, self.config.group_size
        rows, labels, quality = [], {}, {}
        for p, prompt in enumerate(group.prompts):
            part = slice(p * G, (p + 1) * G)
            plain = group.features[part].float().cpu().numpy()
            placed = self.prompts[prompt].place(plain) if prompt in self.prompts else None
            rows += picture_rows(
                "train", self.iteration, prompt, group.seeds[part], group.images[part], plain, {n: v[part] for n, v in group.raw.items()}, group.quality[p],
                placed=placed, bonus=group.bonus[p] if self.config.creative_beta > 0 else None, clusters=group.labels[p],
            )
            if placed:  # a prompt may have several groups, one for each anchor
                labels[prompt] = np.concatenate([labels.get(prompt, []), placed[0]]).astype(int)
                quality[prompt] = np.concatenate([quality.get(prompt, []), group.quality[p].cpu().numpy()])
        shares = {str(prompt): self.prompts[prompt].looks.shares(found) for prompt, found in labels.items()}
        rewards = {
            str(prompt): [float(quality[prompt][found == k].mean()) if (found == k).any() else None for k in range(len(shares[str(prompt)]) - 1)]
            for prompt, found in labels.items()
        }
        now = time.perf_counter()
        iteration.seconds["write"] = now - clock + self._commit_seconds
        if self._level != 1:
            metrics["yardstick"] = self._level
        metrics |= {"look_shares": shares, "look_rewards": rewards, "seconds": iteration.seconds, "dials": self._dials(), "memory": peak_memory(self.control.device_type)}
        self.db.add_iteration(self.iteration, now - start, metrics, rows)
        self._commit_seconds = time.perf_counter() - now
        if iteration.warning and not self._warned:
            self._warned = True
            self.db.add_event("warning", self.iteration, message=iteration.warning)

    def _drawing(self, made: int, total: int) -> None:
        if made < total:
            self.db.set_status(state="sampling", message=f"Drawing {total} base pictures as they are drawn from here on, {made} done")
        else:
            self.db.set_status(state="running", message="")

    def _sample_on_request(self) -> None:
        """Pictures with the current weights by the deterministic sampler, for `sample` commands."""
        for command, body in self.control.take_samples():
            prompt = body.get("prompt", 0)
            if not isinstance(prompt, int) or not 0 <= prompt < len(self.config.prompts):
                self.db.answer(command, f"prompt: {prompt!r} is not in the list. Use 0 to {len(self.config.prompts) - 1}.")
                continue
            self.db.set_status(state="sampling", message="Sampling")
            seeds = self.trainer.seeds(SAMPLE, 0, prompt, self.config.group_size)
            images = self.trainer.pictures(prompt, seeds, purpose=SAMPLE, base=False)
            group = self.trainer.judge([prompt], seeds, images)
            plain = group.features.float().cpu().numpy()
            placed = self.prompts[prompt].place(plain) if prompt in self.prompts else None
            self.db.add_pictures(picture_rows("sample", self.iteration, prompt, seeds, images, plain, group.raw, group.quality[0], placed=placed))
            self.db.add_event("sample", self.iteration, prompt=prompt, seeds=seeds)
            self.db.answer(command)
            self.db.set_status(state="running", message="")

    def _dials(self) -> dict:
        values = self.config.model_dump(mode="json")
        return {name: values[name] for name, f in type(self.config).model_fields.items() if f.json_schema_extra["live"]}

    def _save(self) -> None:
        state = {"dials": self._dials(), "arithmetic": self.trainer.backbone.arithmetic, "scalars": self.trainer.scalars()}
        checkpoints.save(self.run, self.iteration, self.trainer.tensors(), state, keep=self.config.keep_checkpoints, spare=self.lookout.healthy())
        self.db.set_status(saved_at=self.iteration)
        self.db.add_event("checkpoint", self.iteration)

    # --- the end ------------------------------------------------------------------------------------------------
    def _end(self, state: str, message: str) -> None:
        if self.iteration and self.iteration not in checkpoints.all_of(self.run):
            self._save()
        if self.iteration:
            lora_folder.write(self.run, self.iteration, self.run.export)
        self.db.add_event("state", self.iteration + 1, state=state)
        self.db.set_status(state=state, message=message, phase="", pid=None)

    def _last_words(self, error: BaseException) -> int:
        """Why the run ended, what is safe and what to do, in the database and on stderr."""
        tail = "".join(traceback.format_exception(error))[-4000:]
        saved = checkpoints.all_of(self.run)
        safe = f" Saved at {saved[-1]}." if saved else ""
        where = f", iteration {self.iteration + 1}."
        why: dict = {"reason": "fault"}
        if isinstance(error, Diverged):
            message, remedy, code = f"{error.what} was not a number{where}{safe}", error.REMEDY, 2
            why = {"reason": "number", "rate": self.config.learning_rate / 2}
        elif isinstance(error, UserError):
            message, remedy, code = str(error), "", 2
            why = {"reason": "setting"}
        elif out_of_memory(error):
            fewer, saving = self._fewer()
            thrifty = self.config.gradient_checkpointing
            remedy = "Start again with smaller pictures or a smaller model." if thrifty else "Turn on checkpointing (gradient_checkpointing=true)."
            if fewer:
                remedy = f"Continue with {fewer} picture{'s' if fewer > 1 else ''} in flight (micro_batch={fewer})."
            message, code = f"Ran out of memory{self._doing()}{where}{safe}", 2
            why = {"reason": "memory", "fewer": fewer, "saving": saving, "thrifty": thrifty}
        elif _unwritable(error):
            message, remedy, code = f"The run folder cannot be written ({_unwritable(error)}){where}{safe}", "Free some space or fix the folder, then resume.", 2
            why = {"reason": "disk"}
        else:
            message, remedy, code = f"The trainer stopped on a fault of its own ({type(error).__name__}){where}{safe}", "Resume from the last checkpoint, or copy the report.", 1
        print(f"{message} {remedy}".strip(), file=sys.stderr)
        if code == 1:
            print(tail, file=sys.stderr)
        try:
            self.db.add_event("failure", self.iteration + 1, **why)
            self.db.set_status(state="failed", message=message, remedy=remedy, details=tail, phase="", pid=None)
        except Exception as second:  # a full disk may refuse even this; the log has it
            print(f"(the database did not take the last words: {second})", file=sys.stderr)
        return code

    def _phase(self) -> str:
        """The part of an iteration that failed, or '' before and between them."""
        return self.trainer.phase if hasattr(self, "trainer") else ""

    def _doing(self) -> str:
        return f" while {_PHASES[self._phase()]}" if self._phase() in _PHASES else ""

    def _fewer(self) -> tuple[int, int]:
        """(micro_batch that halves what went through the model when memory ran out, or 0; bytes that this saves at least, or 0 if unknown).

        What the failed part held is still there: the error's frames name it.
        """
        if self._phase() not in ("rollout", "update"):
            return self.config.micro_batch // 2, 0
        now = in_flight(self.config, self.ranks.count)
        taken = in_use(self.trainer.backbone.device.type) - self._resting
        return now // 2, round(max(taken, 0) * (1 - now // 2 / now))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl+C waits until the block is done. In a thread, which no signal reaches, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if pressed:
        signal.raise_signal(pressed[0])


def _unwritable(error: BaseException) -> str:
    """Why the disk took nothing more, or '' if that is not what happened. SQLite and safetensors have errors of their own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return error.strerror
    if isinstance(error, sqlite3.OperationalError) and any(w in str(error) for w in ("full", "readonly", "disk I/O")):
        return str(error)
    return "No space left on device" if "No space left on device" in str(error) else ""


def carry_out(run: folder.Run, *, resume: bool, follow: bool = True, ranks: Ranks | None = None) -> int:
    """Carry out `run` in this process, and the branch that an alarm rolled it back to; the exit code. `follow` lays out the map beside.

    Raises UserError if another worker has the run.
    """
    worker = Worker(run, resume=resume, follow=follow, ranks=ranks)
    code = worker.carry_out()
    while code == 0 and (successor := worker.successor):
        del worker
        free_memory()  # two models may not fit
        worker = Worker(successor, resume=True, follow=follow, ranks=ranks)
        code = worker.carry_out()
    return code
