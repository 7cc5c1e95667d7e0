"""Who a seed is: body and face shape weights, colours, hair, clothes. Pure numbers, no geometry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.studio.makehuman import DETAIL_FOLDERS, Assets

Float = NDArray[np.float32]

SKINS = {  # sRGB at the pale and the tanned end
    "caucasian": ((0.93, 0.76, 0.68), (0.80, 0.60, 0.48)),
    "asian": ((0.93, 0.77, 0.64), (0.74, 0.55, 0.41)),
    "african": ((0.58, 0.39, 0.29), (0.30, 0.19, 0.14)),
}
HAIR_COLOURS = {
    "black": (0.06, 0.05, 0.05),
    "dark brown": (0.16, 0.10, 0.07),
    "brown": (0.30, 0.19, 0.12),
    "light brown": (0.45, 0.31, 0.20),
    "blond": (0.74, 0.58, 0.36),
    "red": (0.50, 0.22, 0.10),
    "grey": (0.55, 0.54, 0.52),
    "white": (0.82, 0.81, 0.78),
}
IRIS_COLOURS = {
    "brown": (0.32, 0.18, 0.09),
    "dark brown": (0.17, 0.09, 0.05),
    "hazel": (0.42, 0.31, 0.14),
    "green": (0.34, 0.43, 0.26),
    "blue": (0.31, 0.46, 0.62),
    "grey": (0.43, 0.48, 0.52),
}
CLOTH_COLOURS = {
    "white": (0.92, 0.92, 0.90),
    "black": (0.08, 0.08, 0.09),
    "grey": (0.50, 0.51, 0.53),
    "navy": (0.10, 0.14, 0.30),
    "blue": (0.20, 0.38, 0.68),
    "light blue": (0.60, 0.76, 0.90),
    "red": (0.70, 0.14, 0.14),
    "wine": (0.38, 0.08, 0.15),
    "green": (0.17, 0.42, 0.25),
    "olive": (0.38, 0.40, 0.22),
    "yellow": (0.90, 0.74, 0.25),
    "orange": (0.87, 0.45, 0.16),
    "pink": (0.91, 0.62, 0.68),
    "purple": (0.42, 0.25, 0.52),
    "teal": (0.12, 0.45, 0.47),
    "beige": (0.83, 0.75, 0.62),
    "brown": (0.40, 0.27, 0.18),
}
HAIR_STYLES = {
    "short01": "short hair",
    "short02": "curly short hair",
    "short04": "short straight hair",
    "long01": "long hair",
    "ponytail01": "a ponytail",
    "braid01": "a braid",
    "shaved": "shaved hair",
    "bald": "no hair",
}
# How far a random face detail goes; some targets are strong enough to look ill at full weight.
DETAIL_SPREAD = {"head": 0.16, "ears": 0.25, "neck": 0.12, "eyes": 0.13, "mouth": 0.15, "nose": 0.17, "forehead": 0.14}
_PAIRS = (("-incr", "-decr"), ("-up", "-down"), ("-in", "-out"), ("-forward", "-backward"), ("-convex", "-concave"))


@dataclass(frozen=True)
class Identity:
    """Everything random about a person."""

    seed: int
    sex: str
    shape: dict[str, float]
    skin: Float
    freckles: float
    stubble: float
    hair: str
    hair_colour: Float
    iris: Float
    brow: str
    lashes: str
    clothes: str
    shoes: str
    shirt: Float
    shirt_accent: Float
    stripes: str
    trousers: Float
    description: dict[str, str] = field(default_factory=dict)


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    p = np.asarray(list(weights.values()))
    return str(rng.choice(list(weights), p=p / p.sum()))


def _macro_shape(rng: np.random.Generator, sex: str, old: float, race: dict[str, float]) -> dict[str, float]:
    weight, muscle = np.clip(rng.normal([-0.15, -0.15], [0.35, 0.35]), -1, 1)
    ages = {"young": 1 - old, "old": old}
    levels = []
    for value in (muscle, weight):
        end = "max" if value > 0 else "min"
        levels.append({"average": 1 - abs(value), end: abs(value)})
    shape = {f"{r}-{sex}-{age}": w * a for r, w in race.items() for age, a in ages.items()}
    for age, a in ages.items():
        for m, mw in levels[0].items():
            for w, ww in levels[1].items():
                shape[f"universal-{sex}-{age}-{m}muscle-{w}weight"] = a * mw * ww
    return {name: float(weight) for name, weight in shape.items() if abs(weight) > 0.005}


def _detail_shape(rng: np.random.Generator, folders: dict[str, list[str]]) -> dict[str, float]:
    shape: dict[str, float] = {}
    for folder in DETAIL_FOLDERS:
        spread = DETAIL_SPREAD.get(folder, 0.16)
        for name in folders[folder]:
            if name.startswith("r-") or name.endswith(tuple(second for _, second in _PAIRS)):
                continue
            opposite = next((name[: -len(a)] + b for a, b in _PAIRS if name.endswith(a)), "")
            value = float(np.clip(spread * rng.standard_t(5), -0.6, 0.6))
            if name.startswith(("nose-trans-in", "mouth-trans-in", "head-trans", "neck-trans-in", "neck-double")):
                continue
            chosen = name if value > 0 else opposite
            if not chosen or chosen not in folders[folder]:
                continue
            shape[chosen] = abs(value)
            if chosen.startswith("l-"):
                shape["r-" + chosen[2:]] = abs(value) * float(np.clip(rng.normal(1, 0.06), 0.8, 1.2))
    return shape


def _hair(rng: np.random.Generator, sex: str, old: float) -> str:
    if sex == "female":
        return _pick(rng, {"long01": 0.42, "ponytail01": 0.32, "short04": 0.07, "short01": 0.07, "braid01": 0.08})
    return _pick(rng, {"short01": 0.36, "short04": 0.34, "shaved": 0.14, "bald": 0.05 + 0.1 * old, "short02": 0.06})


def _colours(rng: np.random.Generator, race: dict[str, float], old: float) -> tuple[Float, str, str]:
    tan = float(rng.random())
    skin = np.zeros(3)
    for name, weight in race.items():
        pale, dark = np.asarray(SKINS[name]) ** 2.2
        skin += weight * (pale + (dark - pale) * tan)
    fair = race["caucasian"]
    hair = {"black": 1.2 - fair, "dark brown": 0.8, "brown": 0.1 + fair, "light brown": 0.8 * fair}
    hair |= {
        "blond": 0.7 * fair**2,
        "red": 0.3 * fair**2,
        "grey": 3.0 * max(0.0, old - 0.4),
        "white": 3 * max(0.0, old - 0.6),
    }
    iris = {"brown": 0.6, "dark brown": 1.2 - fair, "hazel": 0.4 * fair, "green": 0.3 * fair**2, "blue": 0.8 * fair**2}
    return np.asarray(skin, np.float32), _pick(rng, hair), _pick(rng, iris | {"grey": 0.2 * fair**2})


def linear(colour: tuple[float, float, float]) -> Float:
    """sRGB to linear light."""
    return np.asarray(np.asarray(colour) ** 2.2, np.float32)


def _varied(rng: np.random.Generator, colour: tuple[float, float, float]) -> Float:
    return np.asarray(np.clip(linear(colour) * rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3), 0, 1), np.float32)


def detail_folders(assets: Assets) -> dict[str, list[str]]:
    """Names of the face detail targets by body part; the part is the word a name starts with (after the side)."""
    part = {"eye": "eyes", "ear": "ears"}
    found: dict[str, list[str]] = {folder: [] for folder in DETAIL_FOLDERS}
    for name in assets.targets:
        words = name.split("-")
        word = words[1] if words[0] in "lr" and len(words) > 1 else words[0]
        folder = part.get(word, word)
        if folder in found:
            found[folder].append(name)
    return found


def draw_identity(seed: int, assets: Assets) -> Identity:
    """The person of a seed; the same seed gives the same person."""
    rng = np.random.default_rng([seed, 7])
    sex = str(rng.choice(["female", "male"]))
    old = float(np.clip(rng.beta(0.9, 2.0), 0, 0.85))
    mix = rng.dirichlet([0.45, 0.45, 0.45])
    race = dict(zip(SKINS, (float(x) for x in mix)))
    skin, hair_colour, iris = _colours(rng, race, old)
    hair = _hair(rng, sex, old)
    shape = _macro_shape(rng, sex, old, race) | _detail_shape(rng, detail_folders(assets))
    clothes = str(rng.choice([n for n in assets.fitted if n.startswith(sex)]))
    shirt, accent, trousers = (str(x) for x in rng.choice(list(CLOTH_COLOURS), 3, replace=False))
    stripes = _pick(rng, {"plain": 0.78, "stripes": 0.12, "pinstripes": 0.1})
    described: dict[str, Any] = {
        "sex": "woman" if sex == "female" else "man",
        "age": "young" if old < 0.2 else "middle-aged" if old < 0.5 else "old",
        "skin": "dark skin" if skin.mean() < 0.13 else "light skin" if skin.mean() > 0.42 else "medium skin",
        "hair": HAIR_STYLES[hair],
        "hair colour": hair_colour,
        "eyes": iris,
        "clothes colour": shirt,
        "pattern": stripes,
    }
    return Identity(
        seed,
        sex,
        shape,
        skin,
        freckles=0.7 * float(rng.random() ** 4) if skin.mean() > 0.3 else 0.0,
        stubble=float(rng.random() ** 2) * 0.5 if sex == "male" else 0.0,
        hair=hair,
        hair_colour=_varied(rng, HAIR_COLOURS[hair_colour]),
        iris=_varied(rng, IRIS_COLOURS[iris]),
        brow=str(rng.choice([n for n in assets.fitted if n.startswith("eyebrow")])),
        lashes=str(rng.choice([n for n in assets.fitted if n.startswith("eyelashes")])),
        clothes=clothes,
        shoes=str(rng.choice([n for n in assets.fitted if n.startswith("shoes")])),
        shirt=_varied(rng, CLOTH_COLOURS[shirt]),
        shirt_accent=_varied(rng, CLOTH_COLOURS[accent]),
        stripes=stripes,
        trousers=_varied(rng, CLOTH_COLOURS[trousers]),
        description={key: str(value) for key, value in described.items()},
    )
