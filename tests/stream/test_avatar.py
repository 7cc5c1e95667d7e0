"""The whole engine with small random networks: shapes, timing, sound, determinism and the disk."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flowact.core.errors import CheckpointError, ConfigError, SessionError
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.model import VideoVAE
from flowact.stream.avatar import Avatar, TimedPrompt
from tests.stream.conftest import SIZE


def voice(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize(("seconds", "chunks"), [(0.1, 1), (0.48, 1), (0.5, 2), (2.0, 5)])
def test_a_clip_covers_its_sound_and_keeps_it(
    avatar: Avatar, portrait: np.ndarray, seconds: float, chunks: int
) -> None:
    sound = voice(seconds)
    clips = list(avatar.stream(portrait, sound))
    assert [c.index for c in clips] == list(range(chunks))
    assert all(c.frames.shape == (12, SIZE, SIZE, 3) for c in clips)
    heard = np.concatenate([c.audio for c in clips])
    np.testing.assert_array_equal(heard[: len(sound)], sound)
    assert not heard[len(sound) :].any()


def test_pieces_of_any_length_make_the_same_clip(avatar: Avatar, portrait: np.ndarray) -> None:
    sound = voice(1.3)
    whole = [c.frames for c in avatar.stream(portrait, sound)]
    pieces = [c.frames for c in avatar.stream(portrait, np.array_split(sound, 7))]
    np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(pieces))


def test_the_seed_decides(avatar: Avatar, portrait: np.ndarray) -> None:
    one, again, other = (
        np.concatenate([c.frames for c in avatar.stream(portrait, None, seed=s, seconds=1)]) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_seconds_cut_and_lengthen_and_silence_has_a_default(avatar: Avatar, portrait: np.ndarray) -> None:
    assert len(list(avatar.stream(portrait, voice(3), seconds=1))) == 3
    assert len(list(avatar.stream(portrait, voice(0.2), seconds=1))) == 3
    assert len(list(avatar.stream(portrait, None, seconds=0.9))) == 2


def test_a_prompt_takes_effect_with_the_chunk_it_enters_and_not_before(avatar: Avatar, portrait: np.ndarray) -> None:
    plain = list(avatar.stream(portrait, None, [TimedPrompt(0, "idle")], seconds=3))
    switched = list(avatar.stream(portrait, None, [TimedPrompt(0, "idle"), TimedPrompt(1.44, "wave")], seconds=3))
    same = [bool((a.frames == b.frames).all()) for a, b in zip(plain, switched)]
    assert same[0]
    assert not same[3]


def test_conditions_need_sound_first(avatar: Avatar, portrait: np.ndarray) -> None:
    session = avatar.open(portrait)
    assert not session.ready
    with pytest.raises(SessionError, match="hear"):
        session.condition("talk")
    session.hear(voice(0.48))
    assert not session.ready
    session.hear(voice(0.16))
    assert session.ready


def test_two_sessions_do_not_touch_each_other(avatar: Avatar, portrait: np.ndarray) -> None:
    def shifts(session, count):  # type: ignore[no-untyped-def]
        session.hear(voice(0.48 * count + 0.2))
        return [session.generate(session.condition("talk")) for _ in range(count)]

    alone = shifts(avatar.open(portrait, seed=1), 4)[-1]
    first, second = avatar.open(portrait, seed=1), avatar.open(portrait[::-1].copy(), seed=2)
    first.hear(voice(0.48 * 4 + 0.2))
    second.hear(voice(0.48 * 4 + 0.2))
    for _ in range(4):
        mixed = first.generate(first.condition("talk"))
        second.generate(second.condition("wave"))
    torch.testing.assert_close(alone.latents, mixed.latents)


def test_a_model_survives_the_disk(avatar: Avatar, portrait: np.ndarray, tmp_path: Path) -> None:
    avatar.save_pretrained(tmp_path / "m", dtype=torch.float32)
    again = Avatar.from_pretrained(tmp_path / "m", device="cpu")
    again.precision = torch.float32
    assert again.config == avatar.config
    for a, b in zip(avatar.stream(portrait, None, seconds=1), again.stream(portrait, None, seconds=1)):
        np.testing.assert_array_equal(a.frames, b.frames)


def test_a_damaged_or_missing_model_is_named(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="model_index"):
        Avatar.from_pretrained(tmp_path)
    avatar.save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "model_index.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        Avatar.from_pretrained(tmp_path / "m")


def test_a_wrong_portrait_or_guidance_is_refused(avatar: Avatar) -> None:
    with pytest.raises(ConfigError, match="load_portrait"):
        avatar.open(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ConfigError, match="embedded"):
        dataclasses.replace(avatar.config, guidance="magic").make_guidance(avatar.anchor.mouth)


def test_a_model_that_is_told_of_no_motion_needs_no_network_for_it(
    avatar: Avatar, portrait: np.ndarray, tmp_path: Path
) -> None:
    nets = avatar.networks()
    blind = MMDiT(dataclasses.replace(nets["backbone"].config, motion_dim=0, sees_colours=False))
    codec = VideoVAE(dataclasses.replace(nets["codec"].config, motion_dim=0))
    parts = (codec, nets["audio"], nets["text"], blind, nets["anchor"])
    Avatar(avatar.config, *parts, None, torch.device("cpu")).save_pretrained(tmp_path, torch.float32)
    assert not (tmp_path / "motion").exists()
    clips = list(Avatar.from_pretrained(tmp_path, "cpu").stream(portrait, voice(0.5)))
    assert [len(c.frames) for c in clips] == [12, 12]
    with pytest.raises(CheckpointError, match="wants to be told"):
        Avatar(avatar.config, nets["codec"], *parts[1:], None, torch.device("cpu"))


def test_a_model_whose_network_for_motion_is_missing_is_refused(avatar: Avatar, tmp_path: Path) -> None:
    avatar.save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "motion")
    with pytest.raises(CheckpointError, match="motion"):
        Avatar.from_pretrained(tmp_path)
