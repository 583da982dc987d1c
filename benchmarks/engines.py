"""The programs that are compared. Each measurement is a process of its own: it loads, warms up and measures."""
import json
import math
import os
import pathlib
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20


class Failed(Exception):
    """A process that ended badly; the message says how."""


def output_of(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    check(done.returncode, done.stderr)
    return done.stdout


def check(code, said):
    if code != 0:
        raise Failed(": ".join([f"ended with {code}", *said.strip().splitlines()[:1]]))


def first_output_seconds(command):
    """From the start of the process to the first byte that it writes."""
    begin = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        seconds = time.perf_counter() - begin
        _, said = process.communicate()
    check(process.returncode, said.decode(errors="replace"))
    return seconds


class Tyto:
    name = "tyto"

    def __init__(self, program, threads, isa, cache, scratch):
        self.program, self.threads, self.scratch = program, threads, scratch
        self.settings = ["--isa", isa, "--kv", cache]
        self.isa = isa

    def measure(self, _row, work, model):
        """{"samples": [...]} and what else is known of them."""
        if work.first:
            return self._first(work, model)
        command = [self.program, "bench", model, "--json", "-p", work.prompt, "-n", work.tokens, "-d", work.depth]
        command += ["-b", work.batch, "-r", work.repetitions, "-t", work.threads or self.threads, *self.settings]
        found = json.loads(output_of(command))
        if work.memory:
            peak = found["peak_resident_bytes"] / MIB
            return {"samples": [peak], "over_plan": peak - found["planned_bytes"] / MIB}
        return {
            "samples": found["decode" if work.tokens else "prefill"]["samples"],
            "model": found["model"],
            "read": found["read_bandwidth"],
            "bytes": found["decode"]["bytes_per_step"],
        }

    def _first(self, work, model):
        if work.packed:
            model = self._packed(model)
        command = [self.program, "run", model, "-p", "Once", "-n", 1, "--no-prompt", "--temp", 0, "-t", self.threads]
        samples = [first_output_seconds([*command, *self.settings]) for _ in range(work.repetitions)]
        return {"samples": samples}

    def _packed(self, model):
        packed = self.scratch / f"{model.stem}-{self.isa}.tyto"
        if not packed.exists():
            output_of([self.program, "pack", model, packed, "--isa", self.isa])
        return packed

    def macs(self, model, work):
        """Multiply-accumulates of one token of `work` in the mean: {"linear": ..., "attention": ...}."""
        found = json.loads(output_of([self.program, "inspect", model, "--json"]))
        heads, width = (self._count(found, key) for key in ("attention.head_count", "embedding_length"))
        layers = self._count(found, "block_count")
        used = self._count(found, "expert_used_count", 0) / max(1, self._count(found, "expert_count", 0))
        linear = head = 0
        names = {tensor["name"] for tensor in found["tensors"]}
        for tensor in found["tensors"]:
            if len(tensor["shape"]) == 2:
                size = tensor["shape"][0] * tensor["shape"][1]
                if tensor["name"].startswith("blk."):
                    linear += size
                elif tensor["name"] == "output.weight" or "output.weight" not in names:
                    head = size
            elif len(tensor["shape"]) == 3:
                linear += math.prod(tensor["shape"]) * used
        head_width = width // heads
        seen = work.depth + ((work.prompt or work.tokens) + 1) / 2  # positions that a token looks at, itself too
        once = work.prompt or 1  # of a prompt, only the last position needs logits
        return {"linear": linear + head / once, "attention": 2 * layers * heads * head_width * seen}

    @staticmethod
    def _count(found, key, *otherwise):
        values = (int(value) for name, value in found["metadata"].items() if name.endswith("." + key))
        return next(values, *otherwise)


class LlamaCpp:
    """One build of its libraries; `folder` None is the one inside llama-cpp-python."""

    def __init__(self, name, folder, python, threads, scratch):
        self.name, self.folder, self.python, self.threads = name, folder, python, threads
        self.scratch = scratch
        self.flash = {}  # by row: the setting of flash attention that was faster when first asked

    def measure(self, row, work, model):
        if work.packed:
            raise Failed("has no packed files")
        if row not in self.flash and not (work.first or work.memory):
            both = {flash: self._measure(work, model, flash) for flash in ("off", "on")}
            self.flash[row] = max(both, key=lambda flash: max(both[flash]["samples"]))
            return both[self.flash[row]]
        return self._measure(work, model, self.flash.get(row, "auto"))

    def _measure(self, work, model, flash):
        command = [self.python, HERE / "peer_speed.py", model, "-t", work.threads or self.threads, "--flash", flash]
        if work.first:
            found = [self._run([*command, "--first"]) for _ in range(work.repetitions)]
            return {"samples": [run["first"][0] for run in found], "version": found[0]["version"]}
        command += ["-p", work.prompt, "-n", work.tokens, "-d", work.depth, "-b", work.batch, "-r", work.repetitions]
        if work.depth or work.prompt > 1024:
            command += ["--state", self.scratch / f"{self.name}-{model.stem}-{flash}.state"]
        found = self._run(command)
        samples = found["decode" if work.tokens else "prefill"]
        if work.memory:
            samples = [found["peak_bytes"] / MIB]
        return {"samples": samples, "version": found["version"], "flash": flash}

    def _run(self, command):
        environment = dict(os.environ, **({"LLAMA_CPP_LIB_PATH": str(self.folder)} if self.folder else {}))
        return json.loads(output_of(command, env=environment))


def scratch_folder():
    """For packed files and long sequences, while a run lasts."""
    return tempfile.TemporaryDirectory(prefix="tyto-bench-")
