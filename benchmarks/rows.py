"""What is measured and what is asked of it: the rows of the table that run.py prints."""
from dataclasses import dataclass, field

FORMATS = ("Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "BF16", "F16")
BATCHED = ("Q4_0", "Q4_K_M", "Q8_0")
INT8, BF16, F32 = ("int8_amx", "int8_vnni"), ("bf16_amx", "bf16"), ("f32",)


@dataclass(frozen=True)
class Work:
    """What one process does, in the words of `tyto bench` and peer_speed.py."""

    prompt: int = 0
    tokens: int = 0
    depth: int = 0
    batch: int = 1
    threads: int | None = None  # None: as the whole run
    first: bool = False  # only the time from a process's start to its first text
    packed: bool = False  # of a packed file
    memory: bool = False  # the figure is peak memory, not speed
    repetitions: int = 1


@dataclass(frozen=True)
class Bound:
    """A figure's share of `of`; at least, or at most, so much of it is asked."""

    of: str
    asked: float | None = None
    stretch: float | None = None
    at_most: bool = False
    unit: str = "%"


@dataclass(frozen=True)
class Row:
    """One figure of each of several models. `ratios`: what is asked of tyto over llama.cpp, by weight format."""

    title: str
    work: Work
    unit: str = "tok/s"
    formats: tuple = BATCHED
    ratios: dict = field(default_factory=dict)
    bounds: dict = field(default_factory=dict)
    model: str | None = None  # None: one file of each format; else this one
    long: bool = False  # llama.cpp takes minutes: it takes part in one round

    @property
    def lower_is_better(self):
        return self.unit != "tok/s"

    def ratio(self, kind):
        return self.ratios.get(kind, self.ratios.get("any"))

    def bound(self, kind):
        return self.bounds.get(kind, self.bounds.get("any"))


ONE_ROW = Bound("one row's time", 1.7, at_most=True, unit="x")


def _rows():
    yield "decode", Row(
        "decode, depth 0", Work(tokens=32, repetitions=2), formats=FORMATS,
        ratios={"Q4_0": 1.6, "Q4_K_M": 1.6, "Q8_0": 1.4, "F16": 1.0},
        bounds={"any": Bound("read", 0.80, 0.85)},
    )
    yield "prefill", Row(
        "prefill 512", Work(prompt=512), formats=FORMATS,
        ratios={"Q4_0": 2.4, "Q4_K_M": 3.0, "Q8_0": 4.0, "F16": 1.1},
        bounds={kind: Bound("int8", 0.50, 0.60) for kind in BATCHED}
        | {"Q5_K_M": Bound("int8"), "Q6_K": Bound("int8"), "BF16": Bound("bf16", 0.75), "F16": Bound("f32")},
    )
    yield "prefill-4096", Row(
        "prefill 4096", Work(prompt=4096), formats=("Q4_0",), long=True, bounds={"any": Bound("prefill", 0.70)}
    )
    yield "decode-4000", Row(
        "decode, depth 4000", Work(tokens=16, depth=4000, repetitions=2), formats=("Q4_0",), long=True,
        bounds={"any": Bound("decode", 0.80)},
    )
    for count in (2, 4, 8, 16, 32):
        yield f"batch-{count}", Row(
            f"decode, {count} sessions", Work(tokens=8, batch=count, repetitions=2), ratios={} if count == 2 else {"any": 2.5},
            bounds={"any": ONE_ROW} if count == 4 else {},
        )
    for threads in (1, 2):
        yield f"demo-{threads}", Row(
            f"demo model, decode, {threads} thread{'s' * (threads > 1)}",
            Work(tokens=128, threads=threads, repetitions=5), model="demo", ratios={"any": 1.5},
        )
    yield "start", Row(
        "process start to first token", Work(first=True, repetitions=5), unit="s", formats=("Q4_0",),
        bounds={"any": Bound("", 0.30, at_most=True, unit="s")},
    )
    yield "start-packed", Row(
        "the same, packed file", Work(first=True, packed=True, repetitions=5), unit="s", formats=("Q4_0",),
        bounds={"any": Bound("", 0.10, at_most=True, unit="s")},
    )
    yield "memory", Row(
        "resident memory", Work(prompt=512, tokens=4, memory=True), unit="MiB",
        bounds={"any": Bound("over the plan", 32, at_most=True, unit="MiB")},
    )


ROWS = dict(_rows())
AVX2_RATIO = 1.2  # of every row, against llama.cpp built for AVX2 alone
