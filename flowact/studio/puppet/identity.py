"""Who a puppet is: every choice of shape, colour and dress, drawn from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
"""Red, green, blue in 0..1, as shown (sRGB)."""

SKINS = {
    "fair skin": ("f7d7c4", "f3c6ae", "fbe0cf"),
    "light skin": ("eebf9f", "e8b48f", "f0c9a4"),
    "medium skin": ("d39b72", "c98d63", "d8a67a"),
    "brown skin": ("a86f4c", "9a6342", "b57d57"),
    "dark skin": ("7a4b34", "6a3f2c", "87563d"),
}
HAIR_COLOURS = {
    "black": ("26222b", "1d1c24"),
    "dark brown": ("4a3024", "3d2a24"),
    "brown": ("6f4a2f", "7d5232"),
    "blond": ("d9b36a", "e6c883"),
    "red": ("b4532a", "a8431f"),
    "grey": ("9a979b", "b8b6ba"),
    "white": ("e4e1de", "d8d6d8"),
    "blue": ("3d6fa8", "5b8fc7"),
    "pink": ("d1749b", "c4608c"),
}
EYES = {"brown": "6b432b", "dark brown": "3f2a20", "blue": "4f86bd", "green": "5c8f62", "grey": "74838f"}
CLOTHES = {
    "red": "c9463f",
    "blue": "3f6fb0",
    "navy": "2d3e5f",
    "green": "4d8a63",
    "yellow": "e3b54a",
    "orange": "dd8244",
    "purple": "7d5aa0",
    "pink": "d9869f",
    "teal": "3a8c8f",
    "white": "eeeae4",
    "grey": "8c9099",
    "black": "35353d",
}
BACKDROPS = ("plain", "glow", "window", "stripes", "dots", "shelf", "plants")
GARMENTS = ("t-shirt", "turtleneck", "shirt", "hoodie", "v-neck sweater", "jacket")
SHORT_HAIR = ("short hair", "side parted hair", "quiff", "curly hair", "buzz cut", "bald")
LONG_HAIR = ("long hair", "bob", "hair in a bun", "ponytail", "curly hair", "curtain hair", "fringe and long hair")


def from_hex(text: str) -> Colour:
    """The colour of six hexadecimal digits."""
    r, g, b = (int(text[i : i + 2], 16) / 255.0 for i in (0, 2, 4))
    return (r, g, b)


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of `b`."""
    r, g, v = (x + (y - x) * share for x, y in zip(a, b))
    return (r, g, v)


def darker(colour: Colour, share: float) -> Colour:
    """A darker and slightly warmer tone, which looks like shade rather than dirt."""
    return mixed(colour, (0.16, 0.07, 0.12), share)


def lighter(colour: Colour, share: float) -> Colour:
    """A lighter tone."""
    return mixed(colour, (1.0, 0.98, 0.94), share)


@dataclass(frozen=True)
class Puppet:
    """One drawn person. Lengths are in shoulder widths, see `face.py` for where they are used."""

    seed: int
    description: dict[str, str]
    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    second: Colour
    wall: Colour
    hair_style: str
    garment: str
    backdrop: str
    pattern: str
    outline: float
    half_width: float
    jaw: float
    chin: float
    cheek: float
    eye_size: float
    eye_height: float
    eye_gap: float
    eye_tilt: float
    lashes: float
    brow_weight: float
    brow_arch: float
    nose: str
    nose_size: float
    mouth_width: float
    lip_fullness: float
    ear_size: float
    blush: float
    beard: str
    glasses: str
    earrings: bool
    freckles: bool
    wrinkles: bool
    sleeves: bool
    hair_side: float
    hair_volume: float

    @classmethod
    def from_seed(cls, seed: int) -> Puppet:
        """The puppet of a seed; any non-negative integer."""
        rng = np.random.default_rng([seed, 2])
        woman, age = bool(rng.random() < 0.5), str(rng.choice(("young", "adult", "old"), p=(0.35, 0.45, 0.2)))
        return _draw(cls, seed, rng, woman, age)


def _choose(rng: np.random.Generator, options: Mapping[str, str | tuple[str, ...]]) -> tuple[str, Colour]:
    name = str(rng.choice(list(options)))
    codes = options[name]
    colour = from_hex(codes if isinstance(codes, str) else str(rng.choice(codes)))
    wobble = rng.normal(0.0, 0.015, 3)
    r, g, b = (float(min(max(c + w, 0.0), 1.0)) for c, w in zip(colour, wobble))
    return name, (r, g, b)


def _hair_colour(rng: np.random.Generator, age: str, skin_name: str) -> tuple[str, Colour]:
    if age == "old" and rng.random() < 0.75:
        return _choose(rng, {name: HAIR_COLOURS[name] for name in ("grey", "white")})
    if rng.random() < 0.1:
        return _choose(rng, {name: HAIR_COLOURS[name] for name in ("blue", "pink")})
    dark = skin_name in ("brown skin", "dark skin")
    natural = ("black", "dark brown") if dark else ("black", "dark brown", "brown", "blond", "red")
    return _choose(rng, {name: HAIR_COLOURS[name] for name in natural})


def _beard(rng: np.random.Generator, woman: bool) -> str:
    if woman:
        return "none"
    return str(rng.choice(("none", "stubble", "moustache", "beard", "goatee"), p=(0.5, 0.16, 0.1, 0.14, 0.1)))


def _draw(cls: type[Puppet], seed: int, rng: np.random.Generator, woman: bool, age: str) -> Puppet:
    skin_name, skin = _choose(rng, SKINS)
    hair_name, hair = _hair_colour(rng, age, skin_name)
    eye_name, iris = _choose(rng, EYES)
    cloth_name, cloth = _choose(rng, CLOTHES)
    _, second = _choose(rng, {name: code for name, code in CLOTHES.items() if name != cloth_name})
    _, wall = _choose(rng, CLOTHES)
    style = str(rng.choice(LONG_HAIR if woman else SHORT_HAIR))
    if age != "old" and style == "bald" and rng.random() < 0.6:
        style = "short hair"
    garment = str(rng.choice(GARMENTS))
    pattern = str(rng.choice(("plain", "stripes", "print"), p=(0.6, 0.25, 0.15)))
    beard = _beard(rng, woman)
    glasses = str(rng.choice(("none", "round glasses", "square glasses"), p=(0.74, 0.14, 0.12)))
    lips_base = from_hex("c4505c" if woman and rng.random() < 0.6 else "b0605a")
    description = {
        "sex": "woman" if woman else "man",
        "age": age,
        "skin": skin_name,
        "hair": style,
        "hair colour": hair_name,
        "eyes": eye_name,
        "clothes": garment,
        "clothes colour": cloth_name,
        "pattern": pattern,
        "style": "cartoon",
    }
    description |= {name: value for name, value in (("beard", beard), ("glasses", glasses)) if value != "none"}
    return cls(
        seed=seed,
        description=description,
        skin=skin,
        lips=mixed(darker(skin, 0.12), lips_base, float(rng.uniform(0.5, 0.85))),
        hair=hair,
        iris=iris,
        cloth=cloth,
        second=second,
        wall=mixed(wall, (0.93, 0.91, 0.88), float(rng.uniform(0.35, 0.8))),
        hair_style=style,
        garment=garment,
        backdrop=str(rng.choice(BACKDROPS)),
        pattern=pattern,
        outline=float(rng.choice((0.0, 0.006, 0.009))),
        half_width=float(rng.uniform(0.178, 0.208)),
        jaw=float(rng.uniform(0.62, 0.78) if woman else rng.uniform(0.68, 0.9)),
        chin=float(rng.uniform(0.2, 0.36) if woman else rng.uniform(0.28, 0.5)),
        cheek=float(rng.uniform(0.9, 1.02)),
        eye_size=float(rng.uniform(0.038, 0.048) * (1.06 if woman else 1.0)),
        eye_height=float(rng.uniform(0.62, 0.95)),
        eye_gap=float(rng.uniform(0.078, 0.09)),
        eye_tilt=float(rng.uniform(-0.06, 0.14)),
        lashes=float(rng.uniform(0.7, 1.0) if woman else rng.uniform(0.0, 0.35)),
        brow_weight=float(rng.uniform(0.008, 0.013) if woman else rng.uniform(0.012, 0.021)),
        brow_arch=float(rng.uniform(0.2, 1.0)),
        nose=str(rng.choice(("button", "line", "wedge", "shade"))),
        nose_size=float(rng.uniform(0.8, 1.25)),
        mouth_width=float(rng.uniform(0.135, 0.165)),
        lip_fullness=float(rng.uniform(0.017, 0.027) if woman else rng.uniform(0.012, 0.02)),
        ear_size=float(rng.uniform(0.85, 1.15)),
        blush=float(rng.uniform(0.0, 0.45)),
        beard=beard,
        glasses=glasses,
        earrings=bool(woman and rng.random() < 0.35),
        freckles=bool(rng.random() < 0.12),
        wrinkles=age == "old",
        sleeves=bool(garment != "t-shirt"),
        hair_side=float(rng.choice((-1.0, 1.0))),
        hair_volume=float(rng.uniform(0.85, 1.25)),
    )
