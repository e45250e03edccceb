"""A SLURM of one machine: commands on PATH that run jobs in the background, with SLURM's variables.

Each job has a file with its state in the folder SLURM_STUB. A requeued job is terminated, and runs again.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

COMMANDS = ("sbatch", "srun", "scontrol", "sacct", "scancel")


def install(folder):
    """Make the commands; returns the variables of the environment that they need."""
    commands, jobs = folder / "bin", folder / "jobs"
    commands.mkdir(parents=True)
    jobs.mkdir()
    for name in COMMANDS:
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        script.chmod(0o755)
    return {"PATH": f"{commands}:{os.environ['PATH']}", "SLURM_STUB": str(jobs), "SLURM_CONF": "stub"}


def states(folder):
    """What happened to each job: state and number of starts."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "jobs").glob("*.json"))}
    return {job: (about["state"], about["starts"]) for job, about in found.items()}


def _file(job):
    return Path(os.environ["SLURM_STUB"], f"{job}.json")


def _note(job, **facts):
    file = _file(job)
    about = json.loads(file.read_text()) if file.exists() else {}
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(about | facts))
    part.replace(file)


def sbatch(script):
    lines = [line.removeprefix("#SBATCH ") for line in Path(script).read_text().splitlines() if line[:8] == "#SBATCH "]
    options = dict((shlex.split(line)[0].removeprefix("--") + "=").split("=")[:2] for line in lines)
    job = 1000 + len(list(_file("x").parent.glob("*.json")))
    array = options.get("array", "").partition("%")[0]
    first, _, last = array.partition("-")
    tasks = [f"{job}_{task}" for task in range(int(first), int(last) + 1)] if array else [str(job)]
    for task in tasks:
        _note(task, state="PENDING", starts=0, script=str(script), options=options)
        command = [sys.executable, __file__, "slurmd", task]
        null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(command, start_new_session=True, **null)
    print(f"Submitted batch job {job}")


def slurmd(job):
    """Run a job, again as long as it is requeued."""
    about = json.loads(_file(job).read_text())
    options, (array, _, task) = about["options"], job.partition("_")
    ntasks = int(options.get("ntasks-per-node", options.get("ntasks", 1)))
    names = {"SLURM_JOB_ID": str(int(array) * 10 + int(task or 0)) if task else job, "SLURM_JOB_NUM_NODES": "1"}
    names |= {"SLURM_NTASKS": str(ntasks), "SLURM_NTASKS_PER_NODE": str(ntasks), "SLURM_NNODES": "1"}
    names |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "localhost"}
    names |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task} if task else {}
    names |= {"SLURM_JOB_NAME": options.get("job-name", "script"), "SLURM_NODELIST": "localhost"}
    path = options.get("output", "slurm-%A_%a.out" if task else "slurm-%j.out")
    log = Path(_named(path, array, task, "0"))
    log.parent.mkdir(parents=True, exist_ok=True)
    for starts in range(1, 6):
        _note(job, state="RUNNING", starts=starts, requeue=False)
        restarts = {"SLURM_RESTART_COUNT": str(starts - 1)} if starts > 1 else {}
        with log.open("a") as out:
            process = subprocess.Popen(
                ["bash", about["script"]],
                env={**os.environ, **names, **restarts},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            _note(job, pid=process.pid)
            code = process.wait()
        if not json.loads(_file(job).read_text())["requeue"]:
            break
    _note(job, state="FAILED" if code else "COMPLETED")


def _named(path, job, task, process):
    names = {"%A": job, "%a": task, "%j": job, "%t": process}
    for sign, name in names.items():
        path = path.replace(sign, name)
    return path


def srun(*words):
    """Run a command once for each task; signals reach all of them."""
    words, paths, flags = list(words), {}, os.O_WRONLY | os.O_CREAT | os.O_APPEND
    while words[0].startswith("-"):
        option, _, value = words.pop(0).removeprefix("--").partition("=")
        if option in ("output", "error"):
            paths[option] = value or words.pop(0)
    env, processes = os.environ, []
    ids = (env.get("SLURM_ARRAY_JOB_ID", env["SLURM_JOB_ID"]), env.get("SLURM_ARRAY_TASK_ID", ""))
    for rank in map(str, range(int(env["SLURM_NTASKS"]))):
        streams = {option: os.open(_named(path, *ids, rank), flags) for option, path in paths.items()}
        names = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_ID": "0"}
        how = {"stdout": streams.get("output"), "stderr": streams.get("error")}
        processes.append(subprocess.Popen(words, env={**env, **names}, **how))
    for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, lambda signum, _: [process.send_signal(signum) for process in processes])
    sys.exit(max(abs(process.wait()) for process in processes))


def scontrol(verb, job):
    assert verb == "requeue"
    _note(job, requeue=True, state="REQUEUED")


def sacct(*words):
    jobs = [word for flag, word in pairwise(words) if flag == "-j"]
    print("JobID|State|NodeList")
    for path in sorted(_file("x").parent.glob("*.json")):
        if path.stem.partition("_")[0] in jobs:
            print(f"{path.stem}|{json.loads(path.read_text())['state']}|localhost")


def scancel(*words):
    job = json.loads(_file(words[-1]).read_text())
    os.killpg(job["pid"], signal.SIGTERM)
    time.sleep(0.1)


if __name__ == "__main__":
    {each.__name__: each for each in (sbatch, srun, scontrol, sacct, scancel, slurmd)}[sys.argv[1]](*sys.argv[2:])
