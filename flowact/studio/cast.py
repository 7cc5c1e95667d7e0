"""Lets any person of the roster, drawn or modelled, play a clip."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowact.core.errors import ConfigError
from flowact.studio.performance import Performance, RenderedClip, State
from flowact.studio.roster import kind_of
from flowact.studio.score import make_performance

if TYPE_CHECKING:
    from flowact.studio.puppet import PuppetRenderer
    from flowact.studio.render3d import Renderer3D


class Cast:
    """The renderers of one process, each made when first needed.

    Args:
        size: height and width of the pictures.
        assets: the character data folder; None if only puppets play.
    """

    def __init__(self, size: int, assets: Path | None) -> None:
        self.size = size
        self.assets = assets

    def play(
        self,
        identity: int,
        seed: int,
        frames: int,
        heldout: bool = False,
        framing: str = "bust",
        state: State | None = None,
        gesture: str | None = None,
        busy_hands: bool = False,
        loose_face: bool = False,
    ) -> tuple[Performance, RenderedClip, dict[str, Any]]:
        """Perform and render one clip.

        Args:
            identity: who plays; see `roster.kind_of`.
            seed: decides what happens and how it is framed.
            frames: length at 25 fps.
            heldout: speak sentences, with a voice, that training never hears.
            framing: how much of the person is seen.
            state: force one behaviour state for the whole clip.
            gesture: force one gesture.
            busy_hands: raise a hand in every segment that is long enough.
            loose_face: let the face do what it likes.

        Returns:
            The performance, its pictures and labels, and who plays: kind and description.
        """
        split = "heldout" if heldout else "train"
        performance = make_performance(
            seed, frames, split, state=state, gesture=gesture, busy_hands=busy_hands, loose_face=loose_face
        )
        kind = kind_of(identity)
        if kind == "2d":
            puppet = _puppet(identity)
            clip, description = self._drawn.render(puppet, performance, seed, framing), puppet.description
        else:
            character = _character(identity, self._require_assets())
            clip = self._modelled.render(character, performance, seed, framing)
            description = character.description
        return performance, clip, {"kind": kind, "description": description}

    @cached_property
    def _drawn(self) -> PuppetRenderer:
        from flowact.studio.puppet import PuppetRenderer

        return PuppetRenderer(self.size)

    @cached_property
    def _modelled(self) -> Renderer3D:
        from flowact.studio.render3d import Renderer3D

        return Renderer3D(self.size)

    def _require_assets(self) -> Path:
        if self.assets is None:
            raise ConfigError("a 3D character needs the character data, got none: pass --assets or fetch it")
        return self.assets


# The takes of a person follow each other, so the last few people are enough.
@lru_cache(maxsize=2)
def _puppet(identity: int) -> Any:
    from flowact.studio.puppet import Puppet

    return Puppet.from_seed(identity)


@lru_cache(maxsize=2)
def _character(identity: int, assets: Path) -> Any:
    from flowact.studio.character import Character3D

    return Character3D.from_seed(identity, assets)
