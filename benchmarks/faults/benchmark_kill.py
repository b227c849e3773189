"""`cryomix run` killed at random moments, resumed, and compared with a run that nobody disturbed.

Every round begins a small job in a process of its own and kills it (SIGKILL), at a moment drawn
uniformly from the time that the whole job takes, or just before or after one of its files takes its
name. The job is then resumed, killed again in half of the rounds, and resumed to the end. All files
of the job must then be the same, byte for byte, and none may be left half written. Processes are
forked from one that has compiled everything, so that a round takes seconds.

Run: ``python benchmarks/faults/benchmark_kill.py --rounds 50``, which prints one JSON line.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")  # the one that survives a fork

from cryomix import cli
from cryomix.files.job import JobFolder

SIMULATE = ["--particles", "120", "--box", "24", "--pixel-size", "8", "--snr", "1"]
JOB = ["--latent-dim", "1", "--epochs", "4", "--hidden", "8", "--gaussians", "24", "--threads", "1"]


class KilledJob:
    """A job that can be run to its end or to a moment before it.

    Parameters
    ----------
    folder
        Takes the simulated particles, the undisturbed job and the killed ones.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if cli.main(["simulate", "linear", "-o", str(folder / "set"), *SIMULATE]):
            sys.exit("the particles cannot be simulated")
        # Twice: the first time compiles, the second says how long a job takes.
        for name in ("first", "undisturbed"):
            start = time.monotonic()
            if self._run(folder / name / "job"):
                sys.exit("the undisturbed job does not succeed")
            self.seconds = time.monotonic() - start
        self.expected = contents(folder / "undisturbed/job")
        if differing := self._differing(folder / "first/job"):
            sys.exit(f"two undisturbed jobs differ in {differing}")
        self.writes = len(self.expected)

    def round(self, number: int, chance: random.Random) -> str:
        """Kill a job once or twice and resume it; how it went, in words."""
        job = self.folder / str(number) / "job"  # the report shows the folder's name
        told = []
        for _ in range(1 + number % 2):
            told.append(self._kill(job, chance))
        code = in_child(lambda: self._run(job, "--resume"))
        if code:
            raise SystemExit(f"round {number} ({', '.join(told)}): --resume ends with {code}")
        if differing := self._differing(job):
            raise SystemExit(f"round {number} ({', '.join(told)}): differs in {differing}")
        return ", ".join(told)

    def _differing(self, job: Path) -> list[str]:
        found = contents(job)
        return sorted(
            name
            for name in found.keys() | self.expected.keys()
            if found.get(name) != self.expected.get(name)
        )

    def _kill(self, job: Path, chance: random.Random) -> str:
        if chance.random() < 0.5:
            after = chance.uniform(0, self.seconds)
            in_child(lambda: self._run(job, "--resume"), after)
            return f"after {after:.2f} s"
        write, is_before = chance.randrange(self.writes), chance.random() < 0.5
        in_child(lambda: self._run_to_write(job, write, is_before=is_before))
        return f"{'before' if is_before else 'after'} write {write + 1}"

    def _run(self, job: Path, *more: str) -> int:
        arguments = ["run", str(self.folder / "set/particles.star")]
        arguments += ["--map", str(self.folder / "set/consensus.mrc"), "-o", str(job), *JOB, *more]
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            return cli.main(arguments)

    def _run_to_write(self, job: Path, write: int, *, is_before: bool) -> int:
        replace, writes = Path.replace, iter(range(10**9))

        def replace_or_die(path: Path, target: Path) -> Path:
            is_last = next(writes) == write
            if is_last and is_before:
                os.kill(os.getpid(), signal.SIGKILL)
            found = replace(path, target)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        Path.replace = replace_or_die
        return self._run(job, "--resume")


def in_child(work: Callable[[], int], kill_after: float | None = None) -> int:
    """Exit code of `work` in a process of its own; negative if it was killed."""
    child = os.fork()
    if child == 0:
        os._exit(work())
    if kill_after is not None:
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(job: Path) -> dict[str, bytes]:
    """All files of a job, hidden ones, too.

    Without the explorer's address, which is drawn by chance, without the minute in which the report
    was written, and without the folder and --resume in what was typed.
    """
    other = rb"\d{4}-\d\d-\d\d \d\d:\d\d| --resume|" + re.escape(str(job).encode())
    return {
        str(path.relative_to(job)): re.sub(other, b"", path.read_bytes())
        for path in job.rglob("*")
        if path.is_file() and path != JobFolder(job).explorer_address
    }


def main() -> None:
    """Run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        job = KilledJob(Path(folder))
        for number in range(arguments.rounds):
            told = job.round(number, chance)
            print(f"round {number + 1}: killed {told}; resumed, the same", file=sys.stderr)
        used = os.times()
        result = {
            "rounds": arguments.rounds, "seed": arguments.seed, "files": len(job.expected),
            "job_s": round(job.seconds, 2), "cpu_s": round(sum(used[:4]), 1), "differing": 0,
        }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
