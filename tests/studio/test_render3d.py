"""The 3D people: reading, posing, drawing and labels. Needs the CC0 asset folder, named by FLOWACT_ASSETS."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("moderngl")

from flowact.core.arms import FINGERS, FOREARM, arm_bones
from flowact.core.errors import ConfigError
from flowact.core.motion import aim_hands, pack_motion
from flowact.studio.character import Character3D
from flowact.studio.clipfile import SCORE_TRACKS
from flowact.studio.makehuman import load_assets, read_target
from flowact.studio.performance import FACE_UNITS, LANDMARKS, VISEMES, Performance
from flowact.studio.render3d import Renderer3D
from flowact.studio.scene import FRAMINGS, make_scene, visible_region
from flowact.studio.score import make_performance
from flowact.studio.skeleton import Poser, pose

ASSETS = Path(os.environ.get("FLOWACT_ASSETS", Path(__file__).parents[3] / "assets" / "makehuman-cc0"))
needs_assets = pytest.mark.skipif(not ASSETS.is_dir(), reason="the MakeHuman CC0 assets are not unpacked here")


def still(frames: int) -> Performance:
    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((frames, *shape), np.float32)

    wrist, palm, fingers = zeros(2, 3), zeros(2, 3), zeros(2, 3)
    wrist[:] = [[0.4, 0.2, 0.2], [-0.4, 0.2, 0.2]]
    palm[..., 2] = fingers[..., 1] = 1
    return Performance(
        zeros(len(VISEMES)), zeros(len(FACE_UNITS)), zeros(3), zeros(3), zeros(3), zeros(2), zeros(), zeros(2),
        zeros(2), wrist, palm, fingers, zeros(2, 5), np.zeros(frames * 640, np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def person() -> Character3D:
    return Character3D.from_seed(5, ASSETS)


@pytest.fixture(scope="module")
def renderer() -> Renderer3D:
    return Renderer3D(size=128, supersample=1)


def test_target_reader_skips_comments(tmp_path: Path) -> None:
    path = tmp_path / "a.target"
    path.write_text("# four words in comment\n3 .5 0 -.25\n9 0 1 0\n", encoding="utf-8")
    index, delta = read_target(path)
    assert index.tolist() == [3, 9]
    assert delta.tolist() == [[0.5, 0.0, -0.25], [0.0, 1.0, 0.0]]


def test_wrong_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no 3dobjs"):
        load_assets(tmp_path)


def test_unknown_framing() -> None:
    with pytest.raises(ConfigError, match="closeup"):
        visible_region("closeup")


@needs_assets
def test_same_seed_same_person(person: Character3D) -> None:
    again, other = Character3D.from_seed(5, ASSETS), Character3D.from_seed(6, ASSETS)
    np.testing.assert_array_equal(again.positions, person.positions)
    assert again.description == person.description
    assert abs(other.skeleton.shoulder_width - person.skeleton.shoulder_width) > 1e-4


@needs_assets
def test_wrist_reaches_its_target(person: Character3D) -> None:
    performance = still(1)
    performance.hand_active[:] = 1
    poser = pose(person.skeleton, performance)
    neck = poser.at("spine01", person.skeleton.neck_base)
    for side, letter in enumerate("LR"):
        reached = (poser.at(f"wrist.{letter}") - neck) / person.skeleton.shoulder_width
        np.testing.assert_allclose(reached, performance.wrist[:, side], atol=0.02)


@needs_assets
def test_rest_arms_hang_down(person: Character3D) -> None:
    poser = pose(person.skeleton, still(1))
    for letter in "LR":
        drop = poser.at(f"upperarm01.{letter}") - poser.at(f"wrist.{letter}")
        assert drop[0, 1] > 4 * np.abs(drop[0, [0, 2]]).max()


@needs_assets
def test_head_turns_to_the_persons_left_and_up(person: Character3D, renderer: Renderer3D) -> None:
    performance = still(3)
    performance.head[1, 0] = 20
    performance.head[2, 1] = 15
    nose = renderer.render(person, performance, 0).landmarks[:, LANDMARKS.index("nose_tip")]
    assert nose[1, 0] > nose[0, 0] + 3  # the person's left is the viewer's right
    assert nose[2, 1] < nose[0, 1] - 1


@needs_assets
def test_mouth_and_eye_labels_follow_the_units(person: Character3D, renderer: Renderer3D) -> None:
    performance = still(3)
    performance.visemes[1, VISEMES.index("aa")] = 1
    performance.face[2, FACE_UNITS.index("eyeBlinkLeft")] = 1
    clip = renderer.render(person, performance, 0)
    assert clip.mouth_open[0] == pytest.approx(0, abs=0.01)
    assert clip.mouth_open[1] > 0.2
    assert clip.eye_open[2, 0] < 0.1
    assert clip.eye_open[2, 1] == pytest.approx(1, abs=0.02)
    x0, y0, x1, y1 = clip.mouth_box[1].astype(int)
    changed = np.abs(clip.frames[1].astype(int) - clip.frames[0]).max(-1)
    assert changed[y0:y1, x0:x1].mean() > 10 * max(changed[: y0 // 2].mean(), 0.05)


@needs_assets
def test_rendering_is_repeatable_and_the_hand_appears(person: Character3D, renderer: Renderer3D) -> None:
    performance = still(2)
    performance.hand_active[1, 1] = 1
    first, second = (renderer.render(person, performance, 3) for _ in range(2))
    np.testing.assert_array_equal(first.frames, second.frames)
    assert first.hand_visible.tolist() == [[0, 0], [0, 1]]
    left = slice(0, 40)  # the person's right hand is on the viewer's left
    assert np.abs(first.frames[1, :, left].astype(int) - first.frames[0, :, left]).max() > 40


@needs_assets
@pytest.mark.parametrize("framing", FRAMINGS)
def test_visible_region_is_inside_the_frame(person: Character3D, framing: str) -> None:
    x0, x1, y0, y1 = visible_region(framing)
    skeleton = person.skeleton
    corners = np.asarray([[x, y, z] for x in (x0, x1) for y in (y0, y1) for z in (0, 0.35)])
    points = (skeleton.neck_base + corners * skeleton.shoulder_width).astype(np.float32)
    for seed in range(12):
        pixels = make_scene(person, seed, framing, 256).project(points, 256)
        assert (pixels > -8).all()
        assert (pixels < 264).all()


@needs_assets
def test_bust_head_size_and_mouth_pixels(person: Character3D) -> None:
    names = ("crown", "chin", "mouth_left", "mouth_right")
    points = np.stack([person.positions[person.points[n]] for n in names])
    for seed in range(6):
        crown, chin, left, right = make_scene(person, seed, "bust", 256).project(points, 256)
        assert 0.50 < (chin[1] - crown[1]) / 256 < 0.61
        assert left[0] - right[0] > 28


@needs_assets
def test_arms_are_told_where_those_of_people_are(person: Character3D) -> None:
    """`core.arms` on a whole person, in pixels of 256: median over all frames in which a hand is up."""
    elbows, joints = [], []
    for seed in range(4):
        performance = make_performance(seed, 96, busy_hands=True)
        poser, scene = pose(person.skeleton, performance), make_scene(person, seed, "bust", 256)
        seen = scene.project(np.stack([_joints(poser, side) for side in "LR"], 1).astype(np.float32), 256)
        motion = torch.from_numpy(pack_motion({name: getattr(performance, name) for name in SCORE_TRACKS}))
        wrist, middle_knuckle = 1, 8
        aimed = aim_hands(motion, torch.from_numpy(seen[:, :, [wrist, middle_knuckle]]) / 256)
        told = 256 * arm_bones(aimed)[..., 0, :2].numpy()  # where bones begin
        up = performance.hand_active > 0.95
        elbows.append(np.linalg.norm(told[:, :, FOREARM][:, :, 0] - seen[:, :, 0], axis=-1)[up])
        joints.append(np.linalg.norm(told[:, :, FINGERS] - seen[:, :, 2:], axis=-1)[up])
    assert np.median(np.concatenate(elbows)) < 50
    assert np.median(np.concatenate(joints)) < 5


def _joints(poser: Poser, letter: str) -> np.ndarray:
    """Elbow, wrist, and three joints of each finger, thumb to little finger: [F, 17, 3]."""
    names = ["lowerarm01", "wrist", *(f"finger{finger}-{joint}" for finger in range(1, 6) for joint in (1, 2, 3))]
    return np.stack([poser.at(f"{name}.{letter}") for name in names], 1)


@needs_assets
def test_points_keep_to_what_the_first_frame_shows(person: Character3D, renderer: Renderer3D) -> None:
    performance = still(4)
    performance.head[1, 0] = 15
    performance.hand_active[2:, 0] = 1
    performance.wrist[2:, 0] = [0.0, 0.2, 0.35]
    clip = renderer.render(person, performance, 0)
    points = clip.points
    cell = np.arange(256)
    known = np.isfinite(points[0, :, 0])
    assert known.mean() > 0.9
    np.testing.assert_array_equal((points[0, known] // 8).astype(int), np.stack([cell % 16, cell // 16], 1)[known])
    nose = clip.landmarks[:, LANDMARKS.index("nose_tip")]
    on_face = np.linalg.norm(points[0] - nose[0], axis=1) < 8
    turned = (points[1] - points[0])[on_face]
    np.testing.assert_allclose(np.nanmean(turned, 0), nose[1] - nose[0], atol=2)
    wall = (points[0] < (8, 64)).all(1)
    assert np.nanmax(np.abs(points[:, wall] - points[:1, wall])) == 0
    knuckle = clip.landmarks[2, LANDMARKS.index("knuckle_left")]
    behind = np.linalg.norm(points[0] - knuckle, axis=1) < 8
    assert behind.any()
    assert np.isnan(points[2, behind, 0]).mean() > 0.5, "a hand is in front"
    assert np.isfinite(points[1, behind, 0]).all()
