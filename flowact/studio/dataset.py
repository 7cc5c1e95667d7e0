"""Render a labelled dataset of people who do not exist as tar shards, and read it back."""

from __future__ import annotations

import json
import multiprocessing
import os
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flowact.core.errors import ConfigError
from flowact.studio.clipfile import Sample, read_clip, write_clip
from flowact.studio.roster import (
    SPLITS,
    ClipPlan,
    DatasetSettings,
    ShardPlan,
    has_busy_hands,
    has_loose_face,
    kind_of,
    plan_shards,
)

if TYPE_CHECKING:
    from flowact.studio.cast import Cast

FORMAT_VERSION = 5
"""Raised whenever the same settings would give other files."""

_MANIFEST = "manifest.json"
# One thread per worker: several llvmpipe or OpenMP pools on the same cores slow each other down several times over.
_ONE_THREAD = {"LP_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def render_dataset(
    out: Path,
    identities: int,
    takes: int,
    frames: int = 100,
    size: int = 256,
    workers: int = 1,
    assets: Path | None = None,
    seed: int = 0,
    first: int = 0,
    busy_hands: float = 0.0,
    loose_faces: float = 0.0,
) -> Path:
    """Render the dataset into the folder `out` and return its manifest; shards that are complete there are kept.

    Args:
        out: folder for the shards `flowact-{split}-{number}.tar` and `manifest.json`.
        identities: number of people.
        takes: clips per person.
        frames: frames per clip, at 25 fps.
        size: height and width in pixels.
        workers: processes; with one, the work is done in this process.
        assets: character data as a folder or archive, see `find_assets`.
        seed: root of every choice; the same settings give the same clips.
        first: number of the first person; a person of one number is the same in every dataset.
        busy_hands: share of the people who gesture all the time: hands are what a dataset of talkers shows least of.
        loose_faces: share of the people whose faces do what they like: eyes, brows and lips in any company.

    Raises:
        ConfigError: a setting is out of range, the character data is missing, or `out` holds another dataset.
    """
    from flowact.studio.fetch import find_assets

    settings = DatasetSettings(identities, takes, frames, size, seed, first, busy_hands, loose_faces)
    if workers < 1:
        raise ConfigError(f"workers is {workers}; expected at least 1: choose the number of free cores")
    shards = plan_shards(settings)
    is_3d = any(kind_of(clip.identity) == "3d" for shard in shards for clip in shard.clips)
    folder = find_assets(assets) if is_3d else None
    _claim_folder(out, settings, shards)
    missing = [shard for shard in shards if not (out / shard.name).exists()]
    with _environment(_ONE_THREAD), _progress(shards, missing, frames) as on_clip:
        if workers == 1:
            from flowact.studio.cast import Cast

            cast = Cast(size, folder)
            for shard in missing:
                _render_shard(shard, settings, out, cast, on_clip)
        else:
            _render_parallel(missing, settings, out, folder, workers, on_clip)
    return _write_manifest(out, settings, shards, complete=True)


def iterate(shards: Iterable[Path]) -> Iterator[Sample]:
    """Read every clip of the given shards, in order, decoded.

    Raises:
        ConfigError: a shard is missing or damaged.
    """
    for shard in shards:
        files: dict[str, bytes] = {}
        key = ""
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    name, _, suffix = member.name.partition(".")
                    if name != key and files:
                        yield read_clip(key, files)
                        files = {}
                    key = name
                    content = tar.extractfile(member)
                    assert content is not None, "shards hold plain files only"
                    files[suffix] = content.read()
        except (OSError, tarfile.TarError) as error:
            raise ConfigError(f"cannot read shard {shard}: {error}; expected a tar file: render it again") from error
        if files:
            yield read_clip(key, files)


def find_shards(folder: Path, split: str) -> list[Path]:
    """The complete shards of one split, in order; ConfigError when there are none or the split is unknown."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    found = sorted(folder.glob(f"flowact-{split}-*.tar"))
    if not found:
        raise ConfigError(f"no shards of split {split!r} in {folder}; make some with `flowact studio render`")
    return found


def _render_shard(
    shard: ShardPlan, settings: DatasetSettings, out: Path, cast: Cast, on_clip: Callable[[], None]
) -> None:
    # Under another name until complete, so that a stopped run leaves nothing that looks finished.
    unfinished = out / f"{shard.name}.part"
    with tarfile.open(unfinished, "w") as tar:
        for plan in shard.clips:
            for suffix, data in _render_clip(plan, settings, cast).items():
                info = tarfile.TarInfo(f"{plan.key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, BytesIO(data))
            on_clip()
    unfinished.rename(out / shard.name)


def _render_clip(plan: ClipPlan, settings: DatasetSettings, cast: Cast) -> dict[str, bytes]:
    clip_seed = plan.seed(settings.seed)
    heldout = plan.split != "train"
    performance, clip, about = cast.play(
        plan.identity,
        clip_seed,
        settings.frames,
        heldout,
        busy_hands=has_busy_hands(plan.identity, settings.busy_hands),
        loose_face=has_loose_face(plan.identity, settings.loose_faces),
    )
    meta = asdict(plan) | about | {"seed": settings.seed, "clip_seed": clip_seed, "format_version": FORMAT_VERSION}
    return write_clip(performance, clip, meta)


def _render_parallel(
    missing: list[ShardPlan],
    settings: DatasetSettings,
    out: Path,
    assets: Path | None,
    workers: int,
    on_clip: Callable[[], None],
) -> None:
    # Spawned, not forked: a GL context does not survive a fork.
    context = multiprocessing.get_context("spawn")
    ticks: SimpleQueue[None] = context.SimpleQueue()
    with ProcessPoolExecutor(workers, context, _start_worker, (settings, out, assets, ticks)) as pool:
        waiting = {pool.submit(_work, shard) for shard in missing}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                while not ticks.empty():
                    ticks.get()
                    on_clip()
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Worker:
    """What one worker process keeps between shards."""

    render: Callable[[ShardPlan], None]


def _start_worker(settings: DatasetSettings, out: Path, assets: Path | None, ticks: SimpleQueue[None]) -> None:
    from flowact.studio.cast import Cast

    threading.Thread(target=_end_with_parent, daemon=True).start()
    cast = Cast(settings.size, assets)
    _Worker.render = lambda shard: _render_shard(shard, settings, out, cast, lambda: ticks.put(None))


def _end_with_parent() -> None:
    """A parent that was killed asks for no more shards, but its workers would finish theirs."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers are spawned"
    parent.join()
    os._exit(1)


def _work(shard: ShardPlan) -> None:
    _Worker.render(shard)


def _claim_folder(out: Path, settings: DatasetSettings, shards: list[ShardPlan]) -> None:
    manifest = out / _MANIFEST
    wanted = {"settings": asdict(settings), "format_version": FORMAT_VERSION}
    if manifest.exists():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        other = {name: found.get(name) for name in wanted}
        if other != wanted:
            raise ConfigError(f"{out} holds a dataset made with {other}, expected {wanted}: choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    _write_manifest(out, settings, shards, complete=False)


def _write_manifest(out: Path, settings: DatasetSettings, shards: list[ShardPlan], complete: bool) -> Path:
    listed = [
        {
            "name": shard.name,
            "clips": len(shard.clips),
            "bytes": (out / shard.name).stat().st_size if (out / shard.name).exists() else None,
        }
        for shard in shards
    ]
    splits = {s: sum(clip.split == s for shard in shards for clip in shard.clips) for s in SPLITS}
    content = {
        "format_version": FORMAT_VERSION,
        "settings": asdict(settings),
        "complete": complete,
        "clips": splits,
        "shards": listed,
    }
    manifest = out / _MANIFEST
    manifest.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return manifest


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _progress(shards: list[ShardPlan], missing: list[ShardPlan], frames: int) -> Iterator[Callable[[], None]]:
    """A progress bar over clips; yields the function to call after each."""
    total = sum(len(shard.clips) for shard in shards)
    kept = total - sum(len(shard.clips) for shard in missing)
    columns: tuple[Any, ...] = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TextColumn("clips"))
    columns += (TextColumn("{task.fields[fps]:.0f} fps"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("rendering", total=total, completed=kept, fps=0.0)

        def on_clip() -> None:
            progress.advance(task)
            state = progress.tasks[task]
            fps = (state.completed - kept) * frames / max(state.elapsed or 0.0, 1e-3)
            progress.update(task, fps=fps)

        yield on_clip
