"""`facesegl train`: train one model, score its last checkpoint, and keep both in a run folder."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from facesegl.card import Card, make_card
from facesegl.commands.build import GIVEN, build_parts, lightning_refusals, require_batches
from facesegl.config.check import check
from facesegl.config.compose import Composed, literal
from facesegl.config.identity import hyperparameters, to_plain
from facesegl.config.identity import identity as identity_of
from facesegl.config.instantiate import build
from facesegl.console import quiet
from facesegl.errors import ConfigError, Stopped, memory_errors
from facesegl.evaluation.score_files import write_scores
from facesegl.evaluation.scoring import save_counts, score, sets_to_score
from facesegl.files import write_json
from facesegl.labels.taxonomy import Taxonomy
from facesegl.learning.callbacks import LastCheckpoint, StopTogether, WholeCheckpointIO, add_scores
from facesegl.learning.checkpoint import read_checkpoint
from facesegl.learning.module import SegmentationModule
from facesegl.monitoring.loggers import log_scores, open_loggers
from facesegl.prediction.model import model_file
from facesegl.prediction.predictor import Predictor
from facesegl.pretrained import FACES
from facesegl.provenance import command_line
from facesegl.runs.ranks import (
    ending_together,
    is_first,
    launched,
    require_devices,
    require_same,
    require_same_data,
    training_together,
)
from facesegl.runs.result import Result, Run
from facesegl.runs.resume import find_run
from facesegl.runs.run_folder import new_folder, recording, require_unused, run_of_rank_zero, show_to_ranks
from facesegl.runs.signals import stop_after_step, stop_now
from facesegl.runs.slurm import cluster_environments
from facesegl.text import number

if TYPE_CHECKING:
    from facesegl.data.datamodule import FaceDataModule

log = logging.getLogger(__name__)

_OF_A_MACHINE = ("hydra", "paths")  # may differ between the machines of the ranks


@ending_together()
@quiet()
def train(composed: Composed, command: str | None = None, callbacks: Sequence[pl.Callback] = ()) -> Result:
    """Train one model, score its last checkpoint, and keep both in a run folder.

    Args:
        composed: the config, with the keys that were typed.
        command: the command line that repeats this; None for this process's command line.
        callbacks: callbacks that are added to those of the config.

    Raises:
        FaceseglError: any error; each subclass has an exit code. The run folder, if there is one, records it too.
        Stopped: a signal ended it. `trainer.max_time` ends it without an error, in the state `stopped`, and a search
            in the state `pruned`.
    """
    if not is_first():
        logging.getLogger("facesegl").setLevel(logging.WARNING)  # rank 0 logs for all
    config = composed.config
    plan = check(composed, given=GIVEN)  # reports all problems; nothing is written before this passes
    pl.seed_everything(plan.seed, verbose=False)
    parts = build_parts(plan)
    require_devices(parts.trainer)
    if ranks := launched():
        require_same(ranks, {key: value for key, value in to_plain(config).items() if key not in _OF_A_MACHINE})
    faces, net, loss, _ = parts
    init = _initial(plan.init, net, faces.taxonomy)
    loaded = _load_matching(net, init) if init else None
    if not plan.resume and is_first():
        require_unused(plan)
    joined = run_of_rank_zero()  # once rank 0 has built the cache
    faces.setup("fit")  # builds the cache; raises if the data are wrong
    require_batches(parts)
    size = parts.trainer.num_devices * parts.trainer.num_nodes
    identity = identity_of(config, faces.cache.key, mixed=faces.mixed, init=loaded, ranks=size)
    run = joined or find_run(plan, identity) or Run(new_folder(plan))
    if is_first():
        show_to_ranks(run)
    if run.is_done:
        return Result.of(run)
    _log_change_of_ranks(run, faces.batch_size, size)
    plan = _plan_of(run, composed, faces)
    parameters = sum(weights.numel() for weights in net.parameters())
    result = Result(
        folder=run.folder,
        command=command or command_line(),
        config=to_plain(plan),
        identity=identity,
        data={"choice": config.choices.data, **faces.summary()},
        seconds=run.record.get("seconds") or {},
        parameters=parameters,
    )
    with _until_time_limit(run.folder), recording(result, run.checkpoint):
        if is_first():
            _describe(run.folder, plan, faces)
        written: Any = OmegaConf.to_container(config)
        facts = faces.facts()
        if init:  # the mean of a few photos would shift the inputs that the weights were trained on
            facts["normalisation"] = init.card["normalisation"]
        card = make_card(written, result.config, facts, parameters, result.command, result.versions)
        module = SegmentationModule(net, loss, build(plan.optimizer), build(plan.schedule), card=card)
        params = hyperparameters(config)
        with open_loggers(plan.logger or {}, run.folder, params) as loggers:
            if not run.is_trained:
                if ranks:
                    require_same_data(ranks, identity)
                with result.phase("training"), memory_errors(*_memory_of(plan)):
                    _fit(plan, module, faces, run.checkpoint, callbacks, loggers)
            if is_first():
                score_again = "The same command with resume=auto scores it."
                with (
                    stop_now("while it was scored; it is trained", score_again),
                    memory_errors("scoring", f"It is trained. {score_again}"),
                ):
                    _score(result, plan, faces, loggers, params)
    return result


def _log_change_of_ranks(run: Run, batch_size: int, size: int) -> None:
    """Equal identities have equal batches: a rank's share of them says how many ranks there were."""
    before = run.record["config"]["data"]["batch_size"] if run.checkpoint else batch_size
    if before != batch_size and not run.is_trained:
        log.info(
            "resuming on %s what was trained on %s: batches have the same photos, but other random augmentation and "
            "dropout",
            number(size, "rank"),
            number(batch_size * size // before, "rank"),
        )


@contextlib.contextmanager
def _until_time_limit(folder: Path) -> Iterator[None]:
    try:
        yield
    except Stopped as stopped:
        if stopped.exit_code:
            raise
        log.info("stopped: %s facesegl evaluate %s scores it as it is.", stopped, shlex.quote(str(folder)))


def _plan_of(run: Run, composed: Composed, faces: FaceDataModule) -> DictConfig:
    """The plan with the run's folder and share of synthetic faces; a resumed run keeps its precision on any machine."""
    config = OmegaConf.masked_copy(composed.config, [str(key) for key in composed.config])
    with open_dict(config):
        config.paths.run = literal(str(run.folder))
        if run.record:
            config.trainer.precision = literal(str(run.record["config"]["trainer"]["precision"]))
        if "synthetic_share" in config.data:
            config.data.synthetic_share = faces.synthetic_share
    return check(replace(composed, config=config), given=GIVEN, again=True)


def _describe(folder: Path, plan: DictConfig, faces: FaceDataModule) -> None:
    for line in faces.source.pairing:
        log.debug("paired: %s", line)
    write_json(
        folder / "folds.json",
        {
            "fold_seed": faces.fold_seed,
            "folds": faces.folds,
            "fold": faces.fold,
            "train": faces.ids(faces.train),
            "val": faces.ids(faces.val),
            "fold_of": faces.fold_of,
        },
    )
    chosen = f"{faces.photos} of {faces.available} photos (data.photos_seed={faces.photos_seed})"
    log.info(
        "training on %s, %s; %s on %s; run folder %s",
        chosen if faces.photos else f"{len(faces.train)} photos",
        f"validating on {len(faces.val)}" if faces.val.size else "none held out",
        plan.trainer.precision,
        plan.trainer.accelerator,
        folder,
    )


def _fit(
    plan: DictConfig,
    module: SegmentationModule,
    faces: FaceDataModule,
    checkpoint: Path | None,
    callbacks: Sequence[pl.Callback],
    loggers: list[Logger],
) -> None:
    unvalidated = "" if faces.val.size else "data.fold=null holds out no photo"
    if not unvalidated and plan.trainer.get("limit_val_batches") == 0:
        unvalidated = "trainer.limit_val_batches=0 leaves no photo"
    built = [*(build(node) for node in _callbacks(plan, unvalidated)), *callbacks]
    given: dict[str, Any] = {"limit_val_batches": 0} if unvalidated else {}
    if "enable_progress_bar" not in plan.trainer and not any(isinstance(one, ProgressBar) for one in built):
        given["enable_progress_bar"] = False  # otherwise Lightning adds its default bar
    if limit := plan.trainer.get("max_time"):
        given["max_time"] = None  # Lightning's would end the epoch too early, and the training for good
        built.append(build({"_target_": "facesegl.learning.callbacks.TimeLimit", "duration": limit}))
    trainer: pl.Trainer = build(
        plan.trainer,
        logger=loggers or False,
        callbacks=sorted(built, key=lambda one: isinstance(one, LastCheckpoint)),  # last: it saves the others' state
        plugins=[WholeCheckpointIO(), *cluster_environments()],
        **given,
    )
    if trainer.world_size > 1:
        trainer.callbacks.insert(0, StopTogether())  # type: ignore[attr-defined]
    resume_hint = "The same command with resume=auto resumes it."
    with stop_after_step(trainer, resume_hint), training_together(trainer), lightning_refusals():
        trainer.fit(module, datamodule=faces, ckpt_path=checkpoint, weights_only=True)


def _memory_of(plan: DictConfig) -> tuple[str, str]:
    """What needs memory in training, and how to need less."""
    keys = [*("data.batch_size", "data.image_size"), *("trainer.precision", "trainer.accelerator")]
    values = ", ".join(f"{key}={OmegaConf.select(plan, key)}" for key in keys)
    half = "" if "16" in str(plan.trainer.precision) else ", set trainer.precision=bf16-mixed"
    remedy = (
        f"Lower data.batch_size (+trainer.accumulate_grad_batches=2 makes up for half of it) or data.image_size{half}, "
        f"or choose a smaller model. Each of these is another run: resume=auto resumes this one only as it is."
    )
    return f"training with {values}", remedy


_EARLY_STOPPING = [f"pytorch_lightning.callbacks{module}.EarlyStopping" for module in ("", ".early_stopping")]


def _callbacks(plan: DictConfig, unvalidated: str) -> Iterator[Any]:
    for name, node in (plan.callbacks or {}).items():
        if not node:
            continue
        if str(node.get("monitor", "")).startswith("val/") and unvalidated:
            log.info("callbacks.%s is left out: %s to monitor", name, unvalidated)
        elif node["_target_"].endswith(".LearningRateMonitor") and not plan.logger:
            log.info("callbacks.%s is left out: logger=none gives it nothing to write to", name)
        elif node["_target_"] in _EARLY_STOPPING:
            yield {**node, "_target_": "facesegl.learning.callbacks.EarlyStopping"}
        else:
            yield node


class _Init(NamedTuple):
    """Weights to start from: `init` as given, their card, and the tensors by the names of the net."""

    path: str
    card: Card
    weights: Mapping[str, Tensor]


def _initial(path: str | None, net: nn.Module, taxonomy: Taxonomy) -> _Init | None:
    """The weights that `init` refers to; `auto` is the pretrained weights, or None with a log line that says why."""
    if not path:
        return None
    automatic = path.casefold() == "auto"
    checkpoint = read_checkpoint(FACES if automatic else model_file(path))
    card, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    weights = {name.removeprefix("net."): weight for name, weight in state.items()}
    if not automatic:
        return _Init(path, card, weights)
    own = net.state_dict()
    # shape[1:]: the head of another number of classes has other rows
    if {name: weight.shape[1:] for name, weight in own.items()} != {name: w.shape[1:] for name, w in weights.items()}:
        log.info("init=auto: random weights, since this net differs from that of %s", FACES)
    elif taxonomy.names != (*card["taxonomy"]["classes"],):
        log.info("init=auto: random weights, since these data have other classes than %s", FACES)
    else:
        return _Init(FACES, card, weights)
    return None


def _load_matching(net: nn.Module, init: _Init) -> str:
    """Load weights where name and shape match, log the rest, and return the digest of the weights."""
    own = net.state_dict()
    fitting = {name: value for name, value in init.weights.items() if name in own and own[name].shape == value.shape}
    if not any(value.dim() > 1 for value in fitting.values()):  # a bias alone may match by chance
        raise ConfigError(
            f"init={init.path}: none of its weights matches this net by name and shape. Is it another model?"
        )
    net.load_state_dict(fitting, strict=False)
    rest = ", ".join(name for name in own if name not in fitting) or "none"
    counts = f"{len(fitting)} of {len(own)}"
    log.info("init: loaded %s tensors and the normalisation from %s; not loaded: %s", counts, init.path, rest)
    digest = hashlib.blake2b(digest_size=6)
    for name in sorted(fitting):
        digest.update(name.encode() + fitting[name].cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _score(
    result: Result, plan: DictConfig, faces: FaceDataModule, loggers: Sequence[Logger], params: Mapping[str, Any]
) -> None:
    last = result.folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        log.info("no scores: without callbacks.checkpoint there is no last.ckpt to score")
        return
    if faces.held_out == "test" and not faces.test.size:
        log.info("no scores: the data have no test photos, and data.fold=null holds none out")
        return
    # the config names the net's class, so its package is trusted
    trust = [*plan.trust, plan.model["_target_"].partition(".")[0]]
    with result.phase("scoring"):
        scored = score(Predictor(last, device="cpu", trust=trust), faces, sets_to_score(faces.held_out, faces))
    result.scored = [str(last)]
    result.scores = {name: found.to_dict() for name, found in scored.items()}
    write_scores(result.folder, scored)
    save_counts(result.folder, scored, faces, result)
    add_scores(last, result.scores)
    final = {name: found.scores for name, found in scored.items()}
    log_scores(loggers, params, final, read_checkpoint(last)["global_step"])
