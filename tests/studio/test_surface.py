"""Points that are followed: a person of a few loose vertices before a wall."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flowact.studio.performance import SURFACE_POINTS
from flowact.studio.scene import Scene
from flowact.studio.surface import follow_surface, shaped

SIDE, CELL = 64, 4
FRAMES = 3


def scene() -> Any:
    # One unit is half of the picture, and what is farther away has the greater depth.
    camera = np.diag([1.0, 1.0, -0.1, 0.0]).astype(np.float32)
    camera[3, 3] = 1
    return SimpleNamespace(
        camera=camera,
        eye=np.array([0, 0, 1000], np.float32),
        project=lambda points, size: Scene.project(SimpleNamespace(camera=camera), points, size),  # type: ignore[arg-type]
    )


def person(positions: list[list[float]]) -> Any:
    """Vertices that all hang on bone 0; the last is moved to the left by the only face unit."""
    count = len(positions)
    return SimpleNamespace(
        positions=np.asarray(positions, np.float32),
        triangles=np.asarray([[i, i, i] for i in range(count)], np.int32),
        material_of=np.zeros(count, np.int32),
        moving=np.asarray([count - 1], np.int32),
        units=np.asarray([[0.5, 0, 0, 0, 0, 0]], np.float32),
        bone_index=np.zeros((count, 4), np.int32),
        bone_weight=np.tile(np.asarray([1, 0, 0, 0], np.float32), (count, 1)),
    )


def still() -> np.ndarray:
    return np.tile(np.eye(3, 4, dtype=np.float32), (FRAMES, 1, 1, 1))


def depths(of_body: np.ndarray) -> np.ndarray:
    """The body covers the left half at depth 0.5, but for `of_body` [FRAMES], how near the whole of it is shown."""
    made = np.ones((FRAMES, SIDE, SIDE), np.float32)
    made[:, :, : SIDE // 2] = of_body[:, None, None]
    return made


def cell_of(column: float, row: float) -> int:
    return int(row // CELL) * 16 + int(column // CELL)


def follow(people: Any, of_body: list[float], matrices: np.ndarray, weights: list[float]) -> np.ndarray:
    return follow_surface(
        people, scene(), SIDE, depths(np.asarray(of_body)), matrices, np.asarray(weights, np.float32)[:, None]
    )


def test_points_go_where_bones_and_face_units_take_them() -> None:
    matrices = still()
    matrices[1, :, 1, 3] = -0.25
    found = follow(person([[-0.7, 0.1, 0], [-0.2, 0.1, 0]]), [0.5, 0.5, 0.5], matrices, [0, 0, -0.4])
    first, second = cell_of(9.6, 28.8), cell_of(25.6, 28.8)
    np.testing.assert_allclose(found[:, first], [[9.6, 28.8], [9.6, 36.8], [9.6, 28.8]], atol=1e-4)
    np.testing.assert_allclose(found[:, second], [[25.6, 28.8], [25.6, 36.8], [19.2, 28.8]], atol=1e-4)


def test_what_is_hidden_or_out_of_the_picture_is_unknown() -> None:
    matrices = still()
    matrices[2, :, 0, 3] = -0.5
    found = follow(person([[-0.7, 0.1, 0], [-0.7, -0.3, 0]]), [0.5, 0.3, 0.5], matrices, [0, 0, 0])
    seen = np.isfinite(found[:, [cell_of(9.6, 28.8), cell_of(9.6, 41.6)], 0])
    assert seen.tolist() == [[True, True], [False, False], [False, False]]


def test_the_wall_stays_and_is_hidden_by_bodies() -> None:
    found = follow(person([[-0.7, 0.1, 0], [-0.7, 0.1, 0]]), [1.0, 0.2, 1.0], still(), [0, 0, 0])
    left, right = cell_of(4, 4), cell_of(60, 4)
    np.testing.assert_array_equal(found[:, right], [[62, 6]] * FRAMES)
    np.testing.assert_array_equal(found[[0, 2], left], [[6, 6]] * 2)
    assert np.isnan(found[1, left]).all()


def test_a_cell_has_the_point_nearest_to_its_middle_and_bodies_without_vertices_have_none() -> None:
    found = follow(person([[-0.99, 0.99, 0], [-0.94, 0.94, 0], [-0.7, 0.1, 0]]), [0.5] * 3, still(), [0, 0, 0])
    assert found.shape == (FRAMES, SURFACE_POINTS, 2)
    np.testing.assert_allclose(found[0, 0], [1.92, 1.92], atol=1e-4)
    assert np.isnan(found[:, cell_of(20, 60)]).all()


def test_only_moving_vertices_are_shaped() -> None:
    moved = shaped(person([[0, 0, 0], [1, 1, 1]]), np.asarray([0, 1]), np.asarray([[0.0], [1.0]], np.float32))
    assert moved[1].tolist() == [[0, 0, 0], [pytest.approx(1.5), 1, 1]]
