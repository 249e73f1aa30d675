"""Which floats a machine is fastest with.

A flag is not enough: of two CPUs that both multiply bfloat16 in hardware, one was twice as fast
with it as with float32, the other 1.7 times slower. So a convolution is timed, once per machine:
the answer is kept in the cache folder, because it is part of every detector's digest and must
not change from run to run.
"""

import hashlib
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from clothret.settings import cache_dir

logger = logging.getLogger(__name__)

CHANNELS, SIDE = 128, 48
REPEATS = 9
WORTH = 1.15
"""How many times faster bfloat16 must be: it costs some accuracy."""

Precision = Literal["float32", "bfloat16"]


def best_precision(device: torch.device | None = None) -> Precision:
    """What `device` is fastest with, by default a GPU where there is one."""
    gpu = torch.cuda.is_available() if device is None else device.type == "cuda"
    return "bfloat16" if gpu or native_bfloat16() else "float32"


@cache
def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware, and gains by it."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    path = cache_dir() / f"bfloat16-{_machine()}.json"
    try:
        return bool(json.loads(path.read_text())["pays"])
    except (OSError, ValueError, KeyError):
        gain = bfloat16_gain()
    logger.info("bfloat16 is %.2f times as fast as float32 on this CPU", gain)
    _keep(path, {"pays": gain >= WORTH, "gain": round(gain, 3)})
    return gain >= WORTH


def bfloat16_gain() -> float:
    """How many times faster a convolution is in bfloat16 than in float32.

    One thread's CPU time, the median of interleaved pairs: a busy machine does not move it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exact, short = (_convolution(kind) for kind in (torch.float32, torch.bfloat16))
        pairs = [_cpu_seconds(exact) / _cpu_seconds(short) for _ in range(REPEATS + 1)]
    finally:
        torch.set_num_threads(threads)
    return statistics.median(pairs[1:])  # the first warms up


def _cpu_seconds(run: Callable[[], None]) -> float:
    started = time.thread_time()
    run()
    return max(time.thread_time() - started, 1e-9)


def _convolution(kind: torch.dtype) -> Callable[[], None]:
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(kind)
    layer = layer.to(memory_format=torch.channels_last)
    picture = torch.ones(1, CHANNELS, SIDE, SIDE, dtype=kind)
    picture = picture.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> None:
        layer(picture)

    return run


def _machine() -> str:
    """What the answer depends on: the CPU's model and the library."""
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith(("model name", "CPU part")))
    except (OSError, StopIteration):
        pass
    return hashlib.sha256(f"{model} {torch.__version__}".encode()).hexdigest()[:12]


def _keep(path: Path, answer: dict[str, object]) -> None:
    """Write the answer whole, unless the cache folder cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(answer) + "\n")
        partial.replace(path)
    except OSError as error:
        logger.warning("%s: cannot be kept (%s); it is measured again next time", path, error)
