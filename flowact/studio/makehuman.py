"""Reader for the CC0 MakeHuman files: base mesh, shape targets, rig, weights, and things fitted to the body.

Everything that the studio needs is parsed once (text files, about ten seconds) and kept as one `.npz` under the user
cache folder, keyed by the asset folder and this reader's version. Units are decimetres; x is the person's left, y up,
z forward.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse

from flowact.core.errors import ConfigError
from flowact.studio.performance import FACE_UNITS, VISEMES

Float = NDArray[np.float32]
Int = NDArray[np.int32]

READER_VERSION = 6
MASK_PX = 1024
MASKS = ("lips", "eyelids", "ears", "inside-mouth", "fingernails")
UNITS = (*(f"viseme_{name}" for name in VISEMES), *FACE_UNITS)
HAIR = ("short01", "short02", "short04", "long01", "ponytail01", "braid01")
CLOTHES = (
    *(f"male_casualsuit0{i}" for i in range(1, 7)),
    "male_elegantsuit01",
    "male_worksuit01",
    "female_casualsuit01",
    "female_casualsuit02",
    "female_elegantsuit01",
    "female_sportsuit01",
)
SHOES = ("shoes01", "shoes02", "shoes03")
BROWS = tuple(f"eyebrow{i:03d}" for i in range(1, 13))
LASHES = tuple(f"eyelashes0{i}" for i in range(1, 5))
DETAIL_FOLDERS = ("nose", "mouth", "chin", "eyes", "ears", "forehead", "cheek", "head", "eyebrows", "neck")


@dataclass(frozen=True)
class Mesh:
    """Triangles over render vertices; a render vertex is one (position, texture coordinate) pair of the file."""

    source: Int  # [R] index of the file's vertex
    uv: Float  # [R, 2]
    triangles: Int  # [T, 3] into render vertices


@dataclass(frozen=True)
class Fitted:
    """A mesh that follows the body: each vertex hangs on three body vertices with an offset (`.mhclo`)."""

    name: str
    mesh: Mesh
    anchors: Int  # [N, 3] body vertices
    weights: Float  # [N, 3]
    offsets: Float  # [N, 3]
    scales: Float  # [3, 3]: for x, y, z the two body vertices and their reference distance
    hidden: Int  # body vertices that the thing covers

    def binding(self, body_vertices: int) -> sparse.csr_matrix:
        """[N, body_vertices] linear part of the fit: positions = binding @ body + scaled offsets."""
        rows = np.repeat(np.arange(len(self.anchors)), 3)
        shape = (len(self.anchors), body_vertices)
        return sparse.csr_matrix((self.weights.ravel(), (rows, self.anchors.ravel())), shape=shape, dtype=np.float32)

    def fit(self, body: Float) -> Float:
        """[N, 3] positions on a shaped body of [B, 3] vertices."""
        first, second = self.scales[:, 0].astype(int), self.scales[:, 1].astype(int)
        axes = np.arange(3)
        scale = np.abs(body[first, axes] - body[second, axes]) / self.scales[:, 2]
        return np.asarray((body[self.anchors] * self.weights[:, :, None]).sum(1) + self.offsets * scale, np.float32)


@dataclass(frozen=True)
class Assets:
    """The parsed files: what a character is made of."""

    body: Mesh
    base: Float  # [B, 3] with helper vertices
    targets: dict[str, tuple[Int, Float]]
    bones: tuple[str, ...]
    parents: Int
    heads: tuple[Int, ...]  # body vertices whose mean is the bone's head
    tails: tuple[Int, ...]
    bone_weights: sparse.csr_matrix  # [B, bones]
    fitted: dict[str, Fitted]
    masks: dict[str, NDArray[np.uint8]]

    def shape(self, weights: dict[str, float]) -> Float:
        """[B, 3] body vertices for target weights."""
        shaped = self.base.copy()
        for name, weight in weights.items():
            index, delta = self.targets[name]
            shaped[index] += np.float32(weight) * delta
        return shaped


def read_obj(path: Path, group: str | None = None) -> tuple[Float, Mesh]:
    """Vertices [V, 3] and the mesh of one `.obj`; with `group`, only that group's faces."""
    points: list[list[float]] = []
    uvs: list[list[float]] = []
    corners: dict[tuple[int, int], int] = {}
    triangles: list[tuple[int, int, int]] = []
    current = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            uvs.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            current = rest.strip()
        elif kind == "f" and (group is None or current == group):
            face = []
            for corner in rest.split():
                parts = corner.split("/")
                key = (int(parts[0]) - 1, int(parts[1]) - 1 if len(parts) > 1 and parts[1] else -1)
                face.append(corners.setdefault(key, len(corners)))
            triangles += [(face[0], face[i], face[i + 1]) for i in range(1, len(face) - 1)]
    uv = np.asarray([uvs[t] if t >= 0 else [0.0, 0.0] for _, t in corners], np.float32)
    source = np.asarray([v for v, _ in corners], np.int32)
    return np.asarray(points, np.float32), Mesh(source, uv, np.asarray(triangles, np.int32))


def read_target(path: Path) -> tuple[Int, Float]:
    """Sparse offsets of one `.target`: vertex indices [N] and offsets [N, 3]."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in '#"']
    rows = [row for row in rows if len(row) == 4]
    index = np.asarray([int(row[0]) for row in rows], np.int32)
    return index, np.asarray([[float(x) for x in row[1:]] for row in rows], np.float32).reshape(-1, 3)


def _vertex_ranges(words: Iterable[str]) -> list[int]:
    found: list[int] = []
    through = False
    for word in words:
        if word == "-":
            through = True
        elif through:
            found += range(found[-1] + 1, int(word) + 1)
            through = False
        else:
            found.append(int(word))
    return found


def read_fitted(path: Path) -> Fitted:
    """One `.mhclo` with its mesh."""
    scales = np.zeros((3, 3), np.float32)
    rows: list[list[float]] = []
    hidden: list[str] = []
    obj, section = "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(words[0][0])] = [float(x) for x in words[1:4]]
        elif words[0] == "obj_file":
            obj = words[1]
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif section == "verts" and words[0].lstrip("-").isdigit():
            values = [float(x) for x in words]
            rows.append(values if len(values) == 9 else [values[0]] * 3 + [1.0, 0, 0] + [0, 0, 0])
        elif section == "delete_verts" and words[0].isdigit():
            hidden += words
    table = np.asarray(rows, np.float32)
    _, mesh = read_obj(path.parent / obj)
    hidden_vertices = np.asarray(_vertex_ranges(hidden), np.int32)
    return Fitted(path.stem, mesh, table[:, :3].astype(np.int32), table[:, 3:6], table[:, 6:], scales, hidden_vertices)


def _wanted_targets(root: Path) -> dict[str, Path]:
    macro = root / "targets" / "macrodetails"
    paths = [p for p in macro.glob("*.target") if "-baby" not in p.name and "-child" not in p.name]
    for folder in DETAIL_FOLDERS:
        paths += sorted((root / "targets" / folder).glob("*.target"))
    return {p.stem: p for p in sorted(paths)} | {unit: root / "faceunits" / f"{unit}.target" for unit in UNITS}


def _fitted_paths(root: Path) -> list[Path]:
    base = root / "base"
    paths = [base / "hair" / n / f"{n}.mhclo" for n in HAIR]
    paths += [base / "clothes" / n / f"{n}.mhclo" for n in (*CLOTHES, *SHOES)]
    paths += [base / "eyebrows" / n / f"{n}.mhclo" for n in BROWS]
    paths += [base / "eyelashes" / n / f"{n}.mhclo" for n in LASHES]
    paths += [base / "teeth" / "teeth_base" / "teeth_base.mhclo", base / "tongue" / "tongue01" / "tongue01.mhclo"]
    return [*paths, root / "eyes" / "low-poly" / "low-poly.mhclo"]


def _parse(root: Path) -> dict[str, Any]:
    """All arrays of the cache file, by flat names."""
    store: dict[str, Any] = {}
    base, body = read_obj(root / "3dobjs" / "base.obj", "body")
    store |= {"base": base, "body.source": body.source, "body.uv": body.uv, "body.triangles": body.triangles}
    targets = {name: read_target(path) for name, path in _wanted_targets(root).items()}
    store["target.names"] = np.asarray(list(targets))
    store["target.counts"] = np.asarray([len(i) for i, _ in targets.values()])
    store["target.index"] = np.concatenate([i for i, _ in targets.values()])
    store["target.delta"] = np.concatenate([d for _, d in targets.values()])
    rig = json.loads((root / "rigs" / "default.mhskel").read_text(encoding="utf-8"))
    weights = json.loads((root / "rigs" / "default_weights.mhw").read_text(encoding="utf-8"))["weights"]
    store["rig"] = np.asarray(json.dumps({"bones": rig["bones"], "joints": rig["joints"]}))
    bones = list(rig["bones"])
    triples = [(v, bones.index(b), w) for b, pairs in weights.items() if b in rig["bones"] for v, w in pairs]
    store["weights"] = np.asarray(triples, np.float32)
    for path in _fitted_paths(root):
        fitted = read_fitted(path)
        key = f"fitted.{path.stem}."
        store |= {key + "source": fitted.mesh.source, key + "uv": fitted.mesh.uv}
        store |= {key + "triangles": fitted.mesh.triangles, key + "anchors": fitted.anchors}
        store |= {key + "weights": fitted.weights, key + "offsets": fitted.offsets}
        store |= {key + "scales": fitted.scales, key + "hidden": fitted.hidden}
    for name in MASKS:
        with Image.open(root / "masks" / f"mpfb_{name}.jpg") as image:
            store[f"mask.{name}"] = np.asarray(image.convert("L").resize((MASK_PX, MASK_PX)))
    return store


def _assemble(store: dict[str, Any]) -> Assets:
    body = Mesh(store["body.source"], store["body.uv"], store["body.triangles"])
    ends = np.cumsum(store["target.counts"])[:-1]
    pieces = zip(np.split(store["target.index"], ends), np.split(store["target.delta"], ends))
    targets = dict(zip(store["target.names"].tolist(), pieces))
    rig = json.loads(str(store["rig"]))
    bones = tuple(rig["bones"])
    parents = [bones.index(b["parent"]) if b["parent"] else -1 for b in rig["bones"].values()]
    heads = tuple(np.asarray(rig["joints"][b["head"]], np.int32) for b in rig["bones"].values())
    tails = tuple(np.asarray(rig["joints"][b["tail"]], np.int32) for b in rig["bones"].values())
    v, b, w = store["weights"].T
    shape = (len(store["base"]), len(bones))
    bone_weights = sparse.csr_matrix((w, (v.astype(int), b.astype(int))), shape=shape, dtype=np.float32)
    fitted = {}
    for name in (k.split(".")[1] for k in store if k.startswith("fitted.") and k.endswith(".uv")):
        part = {k: store[f"fitted.{name}.{k}"] for k in ("anchors", "weights", "offsets", "scales", "hidden")}
        mesh = Mesh(*(store[f"fitted.{name}.{k}"] for k in ("source", "uv", "triangles")))
        fitted[name] = Fitted(name, mesh, **part)
    masks = {name: store[f"mask.{name}"] for name in MASKS}
    parent_index = np.asarray(parents, np.int32)
    return Assets(body, store["base"], targets, bones, parent_index, heads, tails, bone_weights, fitted, masks)


@lru_cache(maxsize=2)
def load_assets(assets: Path) -> Assets:
    """Parse the asset folder, or take the cached result of an earlier parse.

    Raises:
        ConfigError: the folder is not the MakeHuman CC0 asset folder.
    """
    root = Path(assets).resolve()
    if not (root / "3dobjs" / "base.obj").is_file():
        raise ConfigError(
            f"Cannot read the character assets: {root} has no 3dobjs/base.obj; "
            "expected the unpacked makehuman-cc0 folder. Give its path with --assets."
        )
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    key = hashlib.sha256(f"{READER_VERSION}:{root}".encode()).hexdigest()[:16]
    cached = cache_home / "flowact" / "studio" / f"makehuman-{key}.npz"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, **_parse(root))
        os.replace(partial, cached)
    with np.load(cached) as store:
        return _assemble(dict(store))
