"""Train one model as a config says, score its last checkpoint, and leave both in a run folder."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.callbacks import ProgressBar
from torch import nn

from facesegl.card import make_card
from facesegl.commands.build import GIVEN, build_parts
from facesegl.config.check import check
from facesegl.config.identity import identity, to_plain
from facesegl.config.instantiate import build
from facesegl.console import quiet
from facesegl.data.datamodule import FaceDataModule
from facesegl.errors import ConfigError
from facesegl.evaluation.score_files import write_scores
from facesegl.evaluation.scoring import save_counts, score, sets_to_score
from facesegl.files import write_json
from facesegl.learning.checkpoint import LastCheckpoint, WholeCheckpointIO, add_scores, read_checkpoint
from facesegl.learning.module import SegmentationModule
from facesegl.prediction.model import model_file
from facesegl.prediction.predictor import Predictor
from facesegl.provenance import command_line
from facesegl.runs.folder import joined, new_folder, recording
from facesegl.runs.result import Result, load_result
from facesegl.runs.resume import Resumed, find_run
from facesegl.runs.signals import stops_after_a_step, stops_at_once

log = logging.getLogger(__name__)


@quiet()
def train(config: DictConfig, command: str | None = None) -> Result:
    """Train one model as `config` says, score its last checkpoint, and leave both in a run folder.

    Args:
        config: as `facesegl.compose` makes it.
        command: what repeats this; None for what was typed.

    Raises:
        FaceseglError: whatever is wrong; each class is an exit code. The run folder, if there is one yet, says it too.
        Stopped: a signal ended it.
    """
    if joined():
        logging.getLogger("facesegl").setLevel(logging.WARNING)  # the first process of the run says it all
    plan = check(config, given=GIVEN)  # every problem at once; nothing is written before it has passed
    pl.seed_everything(plan.seed, verbose=False)
    faces, net, loss = build_parts(plan)
    if plan.init:
        _take_weights(net, plan.init)
    faces.setup("fit")  # builds the cache; what is wrong with the data ends it here
    run = identity(config, faces.cache.key)
    resumed = _resumed(plan, run)
    if resumed and resumed.done:
        return load_result(resumed.folder)
    folder = resumed.folder if resumed else new_folder(plan)
    plan = _placed(config, folder, resumed)
    checkpoint = resumed.checkpoint if resumed else None
    with recording(_record(folder, config, plan, faces, run, command), checkpoint) as result:
        _describe(folder, plan, faces)
        result.parameters = sum(weights.numel() for weights in net.parameters())
        card = make_card(
            config,
            plan,
            faces.facts(),
            parameters=result.parameters,
            command=result.command,
            versions=result.versions,
        )
        module = SegmentationModule(net, loss, build(plan.optimizer), build(plan.schedule), card=card)
        with result.phase("training"):
            trainer = _fit(plan, module, faces, checkpoint)
        if trainer.is_global_zero:
            with stops_at_once("while it was scored; it is trained", "The same command with resume=auto scores it."):
                _score(result, plan, faces)
    return result


def _resumed(plan: DictConfig, run: str) -> Resumed | None:
    """The run that is to go on, if one is asked for and found, or that this process was started for."""
    if first := joined():
        return Resumed(*first)
    resumed = find_run(plan.resume, Path(plan.paths.runs) / plan.name, plan.paths.run, run) if plan.resume else None
    if resumed and resumed.done:
        log.info("%s is done already; these are its scores", resumed.folder)
    elif resumed:
        where = f"from {resumed.checkpoint}" if resumed.checkpoint else "from its beginning: it has no checkpoint yet"
        log.info("going on with %s, %s", resumed.folder, where)
    return resumed


def _record(
    folder: Path, config: DictConfig, plan: DictConfig, faces: FaceDataModule, run: str, command: str | None
) -> Result:
    return Result(
        folder=folder,
        command=command or command_line(),
        config=to_plain(plan),
        identity=run,
        data={"choice": config.choices.data, **faces.summary()},
    )


def _placed(config: DictConfig, folder: Path, resumed: Resumed | None) -> DictConfig:
    """The plan again, now that the run has a folder; a resumed run keeps its precision on another machine."""
    placed = OmegaConf.masked_copy(config, [str(key) for key in config])
    with open_dict(placed):
        placed.paths.run = str(folder)
        if resumed and (folder / "config.yaml").is_file():
            before = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
            placed.trainer.precision = before["trainer"]["precision"]
    return check(placed, given=GIVEN, again=True)


def _describe(folder: Path, plan: DictConfig, faces: FaceDataModule) -> None:
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
    log.info(
        "learning from %d photos, %s; %s on %s; run folder %s",
        len(faces.train),
        f"validating on {len(faces.val)}" if faces.val.size else "none held out",
        plan.trainer.precision,
        plan.trainer.accelerator,
        folder,
    )


def _fit(plan: DictConfig, module: SegmentationModule, faces: FaceDataModule, checkpoint: Path | None) -> pl.Trainer:
    built = [build(node) for node in _callbacks(plan, faces)]
    callbacks = sorted(built, key=lambda one: isinstance(one, LastCheckpoint))  # it keeps what the others have noted
    given: dict[str, Any] = {} if faces.val.size else {"limit_val_batches": 0}
    if "enable_progress_bar" not in plan.trainer and not any(isinstance(one, ProgressBar) for one in callbacks):
        given["enable_progress_bar"] = False  # or Lightning would add one of its own
    trainer: pl.Trainer = build(
        plan.trainer,
        logger=[build(node) for node in (plan.logger or {}).values() if node] or False,
        callbacks=callbacks,
        plugins=[WholeCheckpointIO()],
        **given,
    )
    with stops_after_a_step(trainer, "The same command with resume=auto goes on."):
        trainer.fit(module, datamodule=faces, ckpt_path=checkpoint, weights_only=True)
    return trainer


def _callbacks(plan: DictConfig, faces: FaceDataModule) -> Iterator[Any]:
    """The callbacks that have something to do; each other one is named."""
    for name, node in (plan.callbacks or {}).items():
        if not node:
            continue
        if str(node.get("monitor", "")).startswith("val/") and not faces.val.size:
            log.info("callbacks.%s is left out: data.fold=null holds no photo out to watch", name)
        elif node["_target_"].endswith(".LearningRateMonitor") and not plan.logger:
            log.info("callbacks.%s is left out: logger=none leaves it nothing to write to", name)
        else:
            yield node


def _take_weights(net: nn.Module, path: str) -> None:
    """Start from another checkpoint's weights: what fits by name and shape is taken, the rest is listed."""
    state, own = read_checkpoint(model_file(path))["state_dict"], net.state_dict()
    theirs = {name.removeprefix("net."): value for name, value in state.items()}
    fitting = {name: value for name, value in theirs.items() if name in own and own[name].shape == value.shape}
    if not any(value.dim() > 1 for value in fitting.values()):  # a bias alone may fit by chance
        raise ConfigError(f"init={path}: none of its weights fits this net by name and shape. Is it another model?")
    net.load_state_dict(fitting, strict=False)
    rest = [name for name in own if name not in fitting]
    log.info(
        "init: took %d of %d tensors from %s; new are: %s", len(fitting), len(own), path, ", ".join(rest) or "none"
    )


def _score(result: Result, plan: DictConfig, faces: FaceDataModule) -> None:
    """Score the last checkpoint: the held-out photos, or the test photos where nothing is left to choose."""
    last = result.folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        log.info("no scores: without callbacks.checkpoint there is no last.ckpt to score")
        return
    if faces.held_out == "test" and not faces.test.size:
        log.info("no scores: the data have no test photos, and data.fold=null holds none out")
        return
    # the person named the net's class in a config of their own: that is trust enough for this file
    trust = [*plan.trust, plan.model["_target_"].partition(".")[0]]
    with result.phase("scoring"):
        scored = score(Predictor(last, device="cpu", trust=trust), faces, sets_to_score(faces.held_out, faces))
    result.scored = [str(last)]
    result.scores = {name: found.to_dict() for name, found in scored.items()}
    write_scores(result.folder, scored)
    save_counts(result.folder, scored, faces, result)
    add_scores(last, result.scores)
