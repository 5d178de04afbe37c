"""What ``mrpose batch`` costs beside the models, and how it grows; ``docs/batch.md`` states the figures.

python benchmarks/batch.py overhead PHOTOS      # over mrpose image, in pairs
python benchmarks/batch.py scaling PHOTOS       # two one-core workers over one
python benchmarks/batch.py shards 100000 100    # planning, listing, status: so many shards of so many photos
python benchmarks/batch.py memory 100000        # rows through one worker's part
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MRPOSE = [sys.executable, "-m", "mrpose_cli"]
PAIRS = 3


def timed(*words: str, cores: str = "") -> tuple[float, float]:
    """Run a command; wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    bound = ["taskset", "-c", cores] if cores else []
    subprocess.run([*bound, *MRPOSE, *words, "-q"], check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}"


def overhead(photos: str) -> None:
    """Compare with mrpose image, one after the other, several times."""
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            image = timed("image", photos, "--no-overlay", "-o", f"{folder}/image")
            batch = timed("batch", photos, "--workers", "1", "-o", f"{folder}/batch")
        print(
            f"image {image[0]:.1f} s ({image[1]:.1f} CPU s), batch {batch[0]:.1f} s ({batch[1]:.1f} CPU s): "
            f"wall {100 * (batch[0] / image[0] - 1):+.1f} %, CPU {100 * (batch[1] / image[1] - 1):+.1f} %, "
            f"{load()}",
            flush=True,
        )


def scaling(photos: str) -> None:
    """Compare two one-core workers with one that has one core."""
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            one = timed("batch", photos, "--workers", "1", "-o", f"{folder}/1", cores="0")
            two = timed("batch", photos, "--workers", "2", "-o", f"{folder}/2")
        print(f"one {one[0]:.1f} s, two {two[0]:.1f} s: {one[0] / two[0]:.2f} times, {load()}", flush=True)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print the time of a block and the most memory so far."""
    begin = time.perf_counter()
    yield
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name}: {time.perf_counter() - begin:.1f} s, {most:.0f} MB, {load()}", flush=True)


def shards(count: str, each: str) -> None:
    """Plan so many shards, write their parts with no network before them, and look at them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mrpose_cli.jobs.batch.crew import Crew
    from mrpose_cli.jobs.batch.inputs import Inputs
    from mrpose_cli.jobs.batch.place import open_place
    from mrpose_cli.jobs.batch.plan import PARTS, make_plan, part_name, read_plan
    from mrpose_cli.jobs.batch.rows import PartBuilder, Picture
    from mrpose_cli.jobs.batch.status import status
    from mrpose_cli.jobs.batch.task import ShardDone
    from mrpose_cli.progress import silent
    from mrpose_cli.skeletons import COCO17

    total = int(count) * int(each)
    with tempfile.TemporaryDirectory() as folder:
        place = open_place(f"{folder}/out")
        with pq.ParquetWriter(f"{folder}/list.parquet", pa.schema([("url", pa.string())])) as writer:
            for begin in range(0, total, 100_000):
                numbers = range(begin, min(begin + 100_000, total))
                names = [f"s3://bucket/photos/{number // 1000:06}/{number:09}.jpg" for number in numbers]
                writer.write_table(pa.table({"url": names}))
        with stage(f"planning {total} inputs in {count} shards"):
            inputs = Inputs([f"{folder}/list.parquet"], recursive=False, out=f"{folder}/out")
            make_plan(place, inputs, size=int(each), inputs=[], settings={}, models={}, model="rtmpose-s")
        plan = read_plan(place)
        assert plan is not None
        with stage("listing what is missing of nothing done"):
            missing = plan.missing(range(plan.shards))
        builder = PartBuilder(COCO17, {"model": "rtmpose-s"})
        builder.add(Picture("/a.jpg", "a.jpg", error="stand-in"))
        part = builder.close()
        with stage("handing out all shards, reading their inputs, writing parts and notes"):
            crew = Crew(missing, place, 1, silent, print)
            while isinstance(shard := crew.ask("worker"), int):
                items = plan.read(shard)
                place.put(f"{PARTS}/{part_name(shard)}", part)
                crew.hear("worker", ShardDone(shard, len(items), 3 * len(items), 0, 1.0))
                crew.keep()
            crew.close(interrupted=False)
        with stage("listing what is missing of everything done"):
            assert not plan.missing(range(plan.shards))
        with stage("status"):
            assert status(plan).done == plan.shards
        for path in (Path(folder) / "out/runs").iterdir():
            path.unlink()
        with stage("status without any notes"):
            assert status(plan).done == plan.shards


def memory(rows: str) -> None:
    """Put so many rows through one part, as a large tar or a long clip does."""
    import numpy as np

    from mrpose_cli.jobs.batch.rows import PartBuilder, Picture
    from mrpose_cli.poses import Poses
    from mrpose_cli.skeletons import COCO17

    random = np.random.default_rng(0)
    builder = PartBuilder(COCO17, {"model": "rtmpose-s"})
    for number in range(int(rows) // 4):
        joints, boxes = 500 * random.random((4, 17, 2), np.float32), 500 * random.random((4, 4), np.float32)
        scores = random.random((4, 17), np.float32)
        poses = Poses(joints, scores, boxes, scores[:, 0], scores[:, 1])
        builder.add(Picture("/clip.mp4", f"clip/{number:06}.jpg", (640, 480), number, number / 30, poses))
        if number % (int(rows) // 40) == 0:
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{4 * number} rows: {most:.0f} MB at most", flush=True)
    print(f"{len(builder.close()) / int(rows):.0f} bytes a person of random numbers")


if __name__ == "__main__":
    {"overhead": overhead, "scaling": scaling, "shards": shards, "memory": memory}[sys.argv[1]](*sys.argv[2:])
