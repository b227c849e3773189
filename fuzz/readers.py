"""Fuzzing of the readers, guided by the code that a file reaches.

Only a `CryomixError` may come out of a reader, within two seconds, in one gigabyte of memory
beyond what the program takes itself. Atheris makes files from good ones, and from those that
reached code that was not reached before; every exception of another kind is told once, with the
file that raised it.

Run: ``pip install 'cryomix[fuzz]'``; ``python fuzz/readers.py star --runs 100000 --seed 1``, which
prints one JSON line. Good files of other programs are added by ``--corpus FOLDER``. A file that was
found is read again by ``python fuzz/readers.py star --again FILE``. Without Atheris, or with
``--unguided``, mutations are drawn without guidance.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "files"))

LONGEST = 2.0  # seconds
MEMORY = 2**30
PAGE = resource.getpagesize()


def main() -> None:
    """Parse the arguments and fuzz one reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="folder of good files, read below, too")
    parser.add_argument("--again", type=Path, help="read this one file, and show what comes out")
    parser.add_argument("--unguided", action="store_true")
    arguments = parser.parse_args()
    unguided = arguments.unguided or arguments.again is not None or not _has_atheris()
    readers = _import_readers(instrumented=not unguided)
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        found = Findings(readers.make_readers(Path(folder)), arguments, Path(folder))
        if arguments.again is not None:
            found.reader.try_on(arguments.again.read_bytes(), Path(folder))
        elif unguided:
            found.draw(readers.mutate)
        else:
            found.guide(readers.mutate)


def _has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def _import_readers(*, instrumented: bool):
    if not instrumented:
        import hostile_files

        return hostile_files
    import atheris

    with atheris.instrument_imports(
        include=["cryomix.files", "cryomix.commands.record", "tomllib"]
    ):
        import hostile_files
    return hostile_files


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class Findings:
    """What came out of a reader that should not."""

    def __init__(self, readers, arguments, folder: Path) -> None:
        if arguments.reader not in readers:
            sys.exit(f"readers are {', '.join(readers)}, got {arguments.reader}")
        self.reader = readers[arguments.reader]
        self.arguments = arguments
        self.folder = folder
        self.seeds = list(self.reader.seeds)
        if arguments.corpus:
            end = Path(self.reader.name).suffix
            files = sorted(arguments.corpus.rglob(f"*{end}"))
            self.seeds += [file.read_bytes() for file in files if file.stat().st_size < 2**15]
        self.found: dict[str, Path] = {}
        self.runs = 0
        self.slowest = 0.0
        size = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))

    def try_on(self, content: bytes) -> None:
        """Read one file, and remember what should not have come out."""
        start = time.process_time()
        try:
            self.reader.try_on(content, self.folder)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)
            own = [f for f in frame if "/cryomix/" in f.filename] or frame
            place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            self._tell(f"{type(error).__name__} at {place}", str(error), content)
        taken = time.process_time() - start
        self.slowest = max(self.slowest, taken)
        if taken > LONGEST:
            self._tell("slow", f"{taken:.1f} s", content)
        self.runs += 1

    def draw(self, mutate) -> None:
        """Mutations of good files, without guidance."""
        chance = random.Random(self.arguments.seed)
        for _ in range(self.arguments.runs):
            self.try_on(mutate(chance.choice(self.seeds), chance.choice(self.seeds), chance))
        self.report("unguided")

    def guide(self, mutate) -> None:
        """Atheris's mutations and ours, of files that reached new code."""
        import atheris

        corpus = self.folder / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(self.seeds):
            (corpus / f"{number:03d}").write_bytes(seed)

        def change(data: bytes, most: int, seed: int) -> bytes:
            if seed % 2:
                return atheris.Mutate(data, most)
            chance = random.Random(seed)
            return mutate(data, chance.choice(self.seeds), chance)[:most]

        def once(content: bytes) -> None:
            self.try_on(content)
            if self.runs >= self.arguments.runs:
                self.report("atheris")  # libFuzzer ends the process by itself, without a word
                sys.stdout.flush()

        flags = [f"-runs={2 * self.arguments.runs}", f"-seed={self.arguments.seed}"]
        flags += ["-max_len=65536", "-timeout=60", "-rss_limit_mb=0", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], once, custom_mutator=change)
        atheris.Fuzz()

    def report(self, how: str) -> None:
        """One JSON line, and the end."""
        told = {
            "reader": self.arguments.reader, "how": how, "runs": self.runs,
            "seeds": len(self.seeds), "seed": self.arguments.seed,
            "slowest_s": round(self.slowest, 2), "cpu_s": round(time.process_time(), 1),
            "findings": sorted(self.found),
        }  # fmt: skip
        print(json.dumps(told), flush=True)
        os._exit(1 if self.found else 0)

    def _tell(self, what: str, message: str, content: bytes) -> None:
        if what in self.found:
            return
        path = Path(f"finding-{self.arguments.reader}-{len(self.found)}").absolute()
        path.write_bytes(content)
        self.found[what] = path
        print(f"{what}: {message[:200]} ({path})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
