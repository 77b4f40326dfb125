"""What the pixel stage costs against plain decoding and against CleanVision, in CPU time.

    python benchmarks/bench_pixels.py [--data ../shared/data] [--cleanvision /path/to/python]

Each line is the median of rounds that alternate with Pillow's decode of the same files, with
two workers on both sides; start-up and compilation come before. `--cleanvision` names a
Python that has CleanVision installed (it brings its own pins); without it that line is left
out. Without the shared data, photos are drawn here (and the output says so).
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

WORKERS = 2
MEGAPIXEL_SIZE = (4000, 3000)
N_LARGE = 12
DRAWN_PHOTOS = 100

CLEANVISION = """
import os, sys, resource
from cleanvision import Imagelab
def cpu():
    own, kids = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + kids.ru_utime + kids.ru_stime
if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1])
    start = cpu()
    lab.find_issues(n_jobs=2, verbose=False)
    print("CPU", cpu() - start)
"""


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return user and system time of this process's threads during `work`."""
    before = os.times()
    work()
    after = os.times()
    return after.user + after.system - before.user - before.system


def pillow_decode(files: list[str]) -> None:
    """Decode all files to RGB with Pillow, two threads, a chunk at a time."""
    from PIL import Image

    def decode(chunk: list[str]) -> None:
        for file in chunk:
            with Image.open(file) as image:
                image.convert("RGB").load()

    chunks = [files[k : k + 32] for k in range(0, len(files), 32)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(decode, chunks))


def simplejpeg_decode(files: list[str]) -> None:
    """Read and decode all JPEGs with simplejpeg, two threads."""
    import simplejpeg

    def decode(chunk: list[str]) -> None:
        for file in chunk:
            simplejpeg.decode_jpeg(Path(file).read_bytes())

    chunks = [files[k : k + 32] for k in range(0, len(files), 32)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(decode, chunks))


def pixel_stage(files: list[str], hashes: list[str]) -> int:
    """Run the whole stage: read, hash, decode, metrics, descriptor, thumbnails, commit."""
    from encord_active_widgets.images.thumbnails import ThumbnailStore
    from encord_active_widgets.metrics import engine

    done = 0
    with tempfile.TemporaryDirectory() as folder:
        store = ThumbnailStore(Path(folder) / "thumbnails")

        def sink(batch: engine.PixelBatch) -> None:
            nonlocal done
            store.append(batch.content_hash, batch.thumbnails)
            vectors = pl.Series([v.tobytes() for v in batch.vectors])
            frame = pl.DataFrame(
                {"content_hash": batch.content_hash, **batch.metrics, "phash": batch.phash}
            ).with_columns(vectors.alias("vector"), pl.col("phash").reinterpret(signed=True))
            frame.write_delta(f"{folder}/metrics", mode="append")
            done += len(batch)

        engine.run(pl.DataFrame({"uri": files, "content_hash": hashes}), sink, workers=WORKERS)
    return done


def compare(title: str, files: list[str], rounds: int) -> float:
    """Print the ratios of one set of files; return our CPU seconds."""
    from encord_active_widgets.metrics.hashes import content_hash

    hashes = [content_hash(Path(f).read_bytes()) for f in files]
    assert pixel_stage(files, hashes) == len(files)
    ours, pillow, simple = [], [], []
    for _ in range(rounds):
        pillow.append(cpu_seconds(lambda: pillow_decode(files)))
        ours.append(cpu_seconds(lambda: pixel_stage(files, hashes)))
        simple.append(cpu_seconds(lambda: simplejpeg_decode(files)))
    ratio = statistics.median(o / p for o, p in zip(ours, pillow, strict=True))
    to_simple = statistics.median(o / s for o, s in zip(ours, simple, strict=True))
    mine, theirs = statistics.median(ours), statistics.median(pillow)
    print(
        f"| {title} | {len(files)} | {mine:.2f} | {theirs:.2f} | {ratio:.2f} | {to_simple:.2f} |",
        flush=True,
    )
    return mine


def large_photos(photos: list[str], folder: Path) -> list[str]:
    """Write mosaics of real photos, 12 megapixels each, as JPEG quality 90."""
    from PIL import Image

    width, height = MEGAPIXEL_SIZE
    rng = np.random.default_rng(0)
    files = []
    for k in range(N_LARGE):
        mosaic = Image.new("RGB", MEGAPIXEL_SIZE)
        y = 0
        while y < height:
            x, row = 0, 0
            while x < width:
                with Image.open(photos[int(rng.integers(len(photos)))]) as photo:
                    mosaic.paste(photo.convert("RGB"), (x, y))
                    x, row = x + photo.width, max(row, photo.height)
            y += min(row, 300)
        file = folder / f"large{k}.jpg"
        mosaic.save(file, quality=90)
        files.append(str(file))
    return files


def drawn_photos(folder: Path) -> list[str]:
    """Draw smooth random scenes with noise, where there are no real photos."""
    from PIL import Image

    rng = np.random.default_rng(0)
    files = []
    for k in range(DRAWN_PHOTOS):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        scene = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(scene + rng.normal(0, 12, scene.shape), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
        file = folder / f"drawn{k}.jpg"
        file.write_bytes(buffer.getvalue())
        files.append(str(file))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cleanvision", help="a Python that has CleanVision")
    arguments = parser.parse_args()
    import numba
    import PIL
    import simplejpeg

    from encord_active_widgets.metrics import engine

    engine.warm_up().join()
    print(
        f"Python {sys.version.split()[0]}, NumPy {np.__version__}, numba {numba.__version__}, "
        f"Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}, {WORKERS} workers\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = arguments.data / "photos"
        photos = sorted(map(str, real.iterdir())) if real.is_dir() else drawn_photos(folder)
        where = "photos/" if real.is_dir() else "photos drawn by this script"
        print("| files | n | ours, CPU s | Pillow decode, CPU s | ours/Pillow | ours/simplejpeg |")
        print("|---|---|---|---|---|---|")
        ours = compare(where, photos, arguments.rounds)
        compare("12-megapixel mosaics", large_photos(photos, folder), max(arguments.rounds // 2, 1))
        tiny = sorted(map(str, (arguments.data / "cifar10_test").glob("*/*")))
        if tiny:
            compare("cifar10_test (32x32)", tiny, max(arguments.rounds // 2, 1))
        if arguments.cleanvision:
            script = folder / "peer.py"
            script.write_text(CLEANVISION)
            peer_folder = real if real.is_dir() else folder
            out = subprocess.run(
                [arguments.cleanvision, str(script), str(peer_folder)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            seconds = float(out.split("CPU")[-1])
            print(
                f"\nCleanVision find_issues(n_jobs=2) on {where}: {seconds:.2f} CPU s, {seconds / ours:.1f} times ours."
            )


if __name__ == "__main__":
    main()
