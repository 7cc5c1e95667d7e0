from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("skia")

from flowact.core.errors import ConfigError
from flowact.studio.performance import FACE_UNITS, LANDMARKS, VISEMES, Performance
from flowact.studio.puppet import Puppet, PuppetRenderer


def resting(frames: int) -> Performance:
    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((frames, *shape), np.float32)

    palm, fingers = zeros(2, 3), zeros(2, 3)
    palm[..., 2], fingers[..., 1] = 1.0, 1.0
    tracks = {name: zeros(3) for name in ("head", "torso", "sway")}
    return Performance(
        visemes=zeros(len(VISEMES)),
        face=zeros(len(FACE_UNITS)),
        shoulders=zeros(2),
        breath=zeros(),
        gaze=zeros(2),
        hand_active=zeros(2),
        wrist=zeros(2, 3),
        palm=palm,
        fingers=fingers,
        curl=zeros(2, 5),
        audio=np.zeros(frames * 640, np.float32),
        **tracks,
    )


def mark(name: str) -> int:
    return LANDMARKS.index(name)


def render(play: Performance, seed: int = 4, **options: str):
    return PuppetRenderer(256).render(Puppet.from_seed(seed), play, 1, **options)


def test_the_same_seeds_give_the_same_pictures_and_other_people_look_different():
    play = resting(1)
    assert np.array_equal(render(play).frames, render(play).frames)
    assert np.abs(render(play).frames.astype(int) - render(play, seed=9).frames).mean() > 10


@pytest.mark.parametrize("seed", range(4, 64, 10))
def test_framing_gives_a_large_mouth_inside_its_box_and_head(seed):
    clip = render(resting(1), seed)
    points, box = clip.landmarks[0], clip.mouth_box[0]
    assert np.isfinite(points).all()
    width = points[mark("mouth_left"), 0] - points[mark("mouth_right"), 0]
    assert 30 <= width <= 60
    assert box[0] < points[mark("mouth_right"), 0]
    assert points[mark("mouth_left"), 0] < box[2]
    assert box[1] < points[mark("lip_top_outer"), 1] < points[mark("lip_bottom_outer"), 1] < box[3]
    assert clip.face_box[0].min() >= 0
    assert clip.face_box[0].max() <= 256


def test_mouth_open_is_the_lip_gap_that_is_drawn():
    play = resting(3)
    play.visemes[1, VISEMES.index("aa")] = 1.0
    play.visemes[2, VISEMES.index("PP")] = 1.0
    clip = render(play)
    points = clip.landmarks
    gap = points[:, mark("lip_bottom_inner"), 1] - points[:, mark("lip_top_inner"), 1]
    width = points[0, mark("mouth_left"), 0] - points[0, mark("mouth_right"), 0]
    assert np.allclose(gap / width, clip.mouth_open, atol=0.04)
    assert clip.mouth_open[1] > 0.35 > 0.01 > clip.mouth_open[2]
    x, y = points[1, mark("lip_bottom_inner")] * 0.4 + points[1, mark("lip_top_inner")] * 0.6
    assert np.abs(clip.frames[1, int(y), int(x)].astype(int) - clip.frames[0, int(y), int(x)]).max() > 30


@pytest.mark.parametrize(("axis", "step"), [(0, (1, 0)), (1, (0, -1))])
def test_head_turns_to_the_left_and_up_for_positive_angles(axis, step):
    play = resting(2)
    play.head[1, axis] = 15.0
    nose = render(play).landmarks[:, mark("nose_tip")]
    assert (nose[1] - nose[0]) @ step > 4


def test_roll_tilts_the_crown_to_the_left():
    play = resting(2)
    play.head[1, 2] = 15.0
    points = render(play).landmarks
    chin_to_brow = points[:, mark("brow_left")] - points[:, mark("chin")]
    assert chin_to_brow[1, 0] > chin_to_brow[0, 0] + 10


def test_blink_closes_the_named_eye_only():
    play = resting(2)
    play.face[1, FACE_UNITS.index("eyeBlinkLeft")] = 1.0
    clip = render(play)
    assert clip.eye_open[1].tolist() == pytest.approx([0.0, 1.0])
    gaps = clip.landmarks[1, mark("eye_left_bottom"), 1] - clip.landmarks[1, mark("eye_left_top"), 1]
    assert abs(gaps) < 1.0


def test_hand_is_seen_at_its_target_and_hangs_out_of_frame_at_rest():
    play = resting(2)
    play.hand_active[1, 0] = 1.0
    play.wrist[:, 0] = (0.3, 0.0, 0.4)
    clip = render(play)
    assert clip.hand_visible.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    x, y = clip.landmarks[1, mark("wrist_left")]
    assert x > 128
    assert 0 <= y < 256
    assert np.abs(clip.frames[1].astype(int) - clip.frames[0])[:, 160:].mean() > 5


def test_unknown_framing_is_refused():
    with pytest.raises(ConfigError, match="unknown framing 'full'"):
        render(resting(1), framing="full")


def test_gaze_moves_the_iris():
    play = resting(2)
    play.gaze[1] = (20.0, 0.0)
    iris = render(replace(play)).landmarks[:, mark("iris_left")]
    assert iris[1, 0] > iris[0, 0] + 1.5
