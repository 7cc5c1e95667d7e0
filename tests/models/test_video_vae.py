import json
from dataclasses import asdict, replace

import pytest
import torch

from flowact.core.errors import ConfigError, ShapeError
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.models.video_vae.config import CloseupConfig, VideoVAEConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.models.video_vae.told import Palette, Teller, draw_arms, told_bones
from flowact.models.video_vae.warp import enlarge, warp

SIZE = 64
SMALL = VideoVAEConfig(
    encoder_width_8=16,
    encoder_width_16=24,
    trunk_width=24,
    frame_width_8=16,
    frame_width_4=16,
    reference_width_8=16,
    reference_width_16=16,
)


@pytest.fixture(scope="module")
def codec() -> VideoVAE:
    """Untrained, but with every zero-initialised weight awake and odd normaliser statistics."""
    torch.manual_seed(0)
    codec = VideoVAE(SMALL)
    for layer in (codec.painter.coarse_flow, codec.painter.fine_flow):
        torch.nn.init.normal_(layer.weight, std=0.05)
    codec.normaliser.running_mean.normal_()
    codec.normaliser.running_var.uniform_(0.5, 2)
    codec.look_normaliser.running_mean.normal_()
    return codec.eval()


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.rand(2, 20, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("cuts", [(4,), (1, 2, 3, 4), (2, 3)])
def test_streaming_equals_offline(codec, clip, cuts):
    whole, _ = codec.encode(clip, codec.initial_encode_state(clip[:, 0]))
    pictures, _ = codec.decode(whole, codec.initial_decode_state(clip[:, 0]))
    coder, painter = codec.initial_encode_state(clip[:, 0]), codec.initial_decode_state(clip[:, 0])
    latents, decoded = [], []
    for start, end in zip((0, *cuts), (*cuts, 5)):
        part, coder = codec.encode(clip[:, 4 * start : 4 * end], coder)
        shown, painter = codec.decode(whole[:, start:end], painter)
        latents.append(part)
        decoded.append(shown)
    torch.testing.assert_close(torch.cat(latents, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(decoded, 1), pictures, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_future_changes_nothing_and_the_past_does(codec, clip):
    def encode(pictures):
        return codec.encode(pictures, codec.initial_encode_state(clip[:, 0]))[0]

    late, early = clip.clone(), clip.clone()
    late[:, 12:] = 0
    early[:, :4] = 0
    torch.testing.assert_close(encode(late)[:, :3], encode(clip)[:, :3], atol=1e-5, rtol=0)
    assert (encode(early)[:, 1] - encode(clip)[:, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_latents_and_look_depend_on_the_portrait(codec, clip):
    one, _ = codec.encode(clip, codec.initial_encode_state(clip[:, 0]))
    other, _ = codec.encode(clip, codec.initial_encode_state(clip[:, 9]))
    assert (one - other).abs().max() > 1e-3
    look = codec.look(clip[:, 0])
    assert look.shape == one[:, 0].shape
    assert (look - codec.look(clip[:, 9])).abs().max() > 1e-3


@torch.no_grad()
def test_rows_do_not_know_each_other(codec, clip):
    both, _ = codec.decode(torch.ones(2, 2, 8, 4, 4), codec.initial_decode_state(clip[:, 0]))
    alone, _ = codec.decode(torch.ones(1, 2, 8, 4, 4), codec.initial_decode_state(clip[1:, 0]))
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_shapes_and_the_first_output_is_nearly_the_portrait(clip):
    torch.manual_seed(0)
    fresh = VideoVAE(SMALL).eval()
    latents, _ = fresh.encode(clip, fresh.initial_encode_state(clip[:, 0]))
    assert latents.shape == (2, 5, 8, 4, 4)
    portrait = clip[:, 0]
    decoded, _ = fresh.decode(latents, fresh.initial_decode_state(portrait))
    assert decoded.shape == clip.shape
    assert (decoded - portrait[:, None]).abs().mean() < 0.15


def test_every_weight_learns(codec, clip):
    latents, _ = codec.encode(clip[:, :8], codec.initial_encode_state(clip[:, 12]))
    decoded, _ = codec.decode(latents, codec.initial_decode_state(clip[:, 12]))
    codec.zero_grad()
    ((decoded - clip[:, :8]).square().mean() + codec.look(clip[:, 12]).square().sum()).backward()
    idle = [name for name, p in codec.named_parameters() if p.grad is None or not p.grad.any()]
    codec.zero_grad()
    assert not idle


@torch.no_grad()
def test_bfloat16_autocast_is_close(codec, clip):
    state = codec.initial_decode_state(clip[:, 0])
    exact, _ = codec.decode(torch.ones(2, 1, 8, 4, 4), state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = codec.decode(torch.ones(2, 1, 8, 4, 4), codec.initial_decode_state(clip[:, 0]))
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.05


def test_the_default_fits_its_budget():
    assert sum(p.numel() for p in VideoVAE().parameters()) < 7e6


def test_config_survives_json():
    assert VideoVAEConfig(**json.loads(json.dumps(asdict(SMALL)))) == SMALL
    with pytest.raises(ConfigError, match="trunk_width"):
        VideoVAEConfig(trunk_width=0)
    with pytest.raises(ConfigError, match="motion_dim is 0"):
        VideoVAEConfig(mouth=CloseupConfig())


def test_doors_refuse_wrong_shapes(codec):
    with pytest.raises(ShapeError, match="multiple of 4"):
        codec.encode(torch.zeros(1, 5, 3, SIZE, SIZE), codec.initial_encode_state(torch.zeros(1, 3, SIZE, SIZE)))
    with pytest.raises(ShapeError, match="multiples of 16"):
        codec.initial_encode_state(torch.zeros(1, 3, 60, 64))
    with pytest.raises(ShapeError, match="same size"):
        codec.encode(torch.zeros(1, 4, 3, SIZE, SIZE), codec.initial_encode_state(torch.zeros(2, 3, SIZE, SIZE)))
    with pytest.raises(ShapeError, match="same size"):
        codec.decode(torch.zeros(1, 1, 8, 5, 4), codec.initial_decode_state(torch.zeros(1, 3, SIZE, SIZE)))
    with pytest.raises(ShapeError, match="portrait"):
        codec.initial_decode_state(torch.zeros(1, 4, SIZE, SIZE))


def test_warp_moves_by_picture_pixels_at_every_scale():
    x = torch.arange(32.0).expand(1, 1, 32, 32)
    flow = torch.zeros(2, 2, 32, 32)
    flow[1, 0] = 3.0
    moved = warp(x, flow, 32)
    torch.testing.assert_close(moved[0], x[0])
    torch.testing.assert_close(moved[1, ..., :28], x[0, ..., :28] + 3)
    assert (moved[1, ..., 29:] == 31).all()
    quarter = warp(x[..., :8, :8], flow[..., ::4, ::4] * 4 / 3, 32)
    torch.testing.assert_close(quarter[1, ..., :7], x[0, ..., :8, 1:8])
    assert (enlarge(flow, 2)[1, 0] == 3).all()


@pytest.fixture(scope="module")
def told() -> VideoVAE:
    """One whose decoder can be told what the body does, and has something to say of it."""
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH)).eval()
    for layer in (codec.trunk.told_16, codec.trunk.told_8):
        torch.nn.init.normal_(layer.tell.weight, std=0.1)
    return codec


@torch.no_grad()
def test_a_told_decoder_draws_what_it_is_told_where_it_is(told, clip):
    def draw(motion, window=None):
        return told.layers(latents, told.initial_decode_state(clip[:, 0]), motion, window=window)[0].pixels

    latents = torch.randn(2, 5, 8, 4, 4)
    motion = torch.randn(2, 5, 4, MOTION_WIDTH)
    motion[..., motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    other = motion.clone()
    other[:, 3:] += 1
    assert (draw(motion) - draw(None)).abs().max() > 1e-3
    assert torch.equal(draw(motion)[:, :12], draw(other)[:, :12]), "what comes later is not known"
    assert (draw(motion)[:, 12:] - draw(other)[:, 12:]).abs().max() > 1e-3
    whole = torch.tensor([0.0, 0.0, 1.0]).expand(2, -1)
    torch.testing.assert_close(draw(motion), draw(motion, whole), atol=1e-4, rtol=0)
    assert (draw(motion) - draw(motion, whole * 0.7)).abs().max() > 1e-3


@torch.no_grad()
def test_a_told_decoder_streams_as_it_decodes_offline(told, clip):
    latents, motion = torch.randn(2, 5, 8, 4, 4), torch.randn(2, 5, 4, MOTION_WIDTH)
    whole, _ = told.decode(latents, told.initial_decode_state(clip[:, 0]), motion)
    state, parts = told.initial_decode_state(clip[:, 0]), []
    for start, end in ((0, 2), (2, 5)):
        part, state = told.decode(latents[:, start:end], state, motion[:, start:end])
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_told_decoder_with_a_close_up_streams_too(clip):
    torch.manual_seed(0)
    closer = CloseupConfig(side_px=32, width_4=8, width_2=8)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH, eyes=closer, mouth=closer, hand=closer)).eval()
    assert list(codec.closeups) == ["eyes", "mouth", "hand"]
    for closeup in codec.closeups.values():
        torch.nn.init.normal_(closeup.head.weight, std=0.1)
    latents, motion = torch.randn(2, 3, 8, 4, 4), torch.randn(2, 3, 4, MOTION_WIDTH)
    motion[..., motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    whole, _ = codec.decode(latents, codec.initial_decode_state(clip[:, 0]), motion)
    state, parts = codec.initial_decode_state(clip[:, 0]), []
    for i in range(3):
        part, state = codec.decode(latents[:, i : i + 1], state, motion[:, i : i + 1])
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
    plain = codec.layers(latents, codec.initial_decode_state(clip[:, 0]), motion)[0].pixels
    for one in codec.closeups:
        partly = replace(codec.config, **{one: None})
        less = VideoVAE(partly).eval()
        less.load_state_dict({name: x for name, x in codec.state_dict().items() if name in less.state_dict()})
        pictures, _ = less.decode(latents, less.initial_decode_state(clip[:, 0]), motion)
        assert (pictures - whole).abs().max() > 1e-3
        assert (pictures - plain).abs().max() > 1e-3
    half, _ = codec.decode(latents, codec.initial_decode_state(clip[:, 0]), motion, every=2)
    torch.testing.assert_close(half, whole[:, 1::2], atol=1e-5, rtol=0)
    untold, _ = codec.decode(latents, codec.initial_decode_state(clip[:, 0]))
    assert torch.equal(untold, codec.layers(latents, codec.initial_decode_state(clip[:, 0]), None)[0].pixels)


@torch.no_grad()
def test_a_portrait_that_stands_otherwise_moves_less_and_its_mouth_is_told_as_it_is(clip):
    torch.manual_seed(0)
    closer = CloseupConfig(side_px=32, width_4=8, width_2=8)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH, field_grid=8, mouth=closer)).eval()
    codec.teller.field[:, 0] = 0.05
    latents, motion = torch.randn(2, 1, 8, 4, 4), torch.randn(2, 1, 4, MOTION_WIDTH)
    motion[..., motion_slice("hand_active")] = 0
    for name in ("wrist", "palm", "fingers", "curl"):
        motion[..., motion_slice(name)] = 0
    stance = torch.randn(2, MOTION_WIDTH) * (motion[:, 0, 0] != 0)
    rest = codec.initial_decode_state(clip[:, 0])
    stands = rest._replace(stance=stance)
    changed = codec.layers(latents, rest, motion - stance[:, None, None])[0].moved
    torch.testing.assert_close(codec.layers(latents, stands, motion)[0].moved, changed)
    assert (codec.layers(latents, rest, motion)[0].moved - changed).abs().max() > 1e-2
    told = []
    plain = codec.layers(latents, stands, motion)[0].pixels
    codec.draw_closer(
        plain, stands, motion, draw={"mouth": lambda *given: told.append(given[2]) or codec.mouth(*given)}
    )
    torch.testing.assert_close(told[0], motion.flatten(0, 2))


def test_a_palette_knows_colours_and_not_where_they_are():
    torch.manual_seed(0)
    palette = Palette(5)
    features, pixels = torch.randn(2, 5, 4, 4), torch.rand(2, 3, 64, 64)
    seen = palette(pixels, features)
    assert seen.shape == (2, Palette.width(5))
    torch.testing.assert_close(palette(pixels.flip(-1), features.flip(-1)), seen)
    torch.testing.assert_close(palette(pixels, 30 * features), seen, msg="bold stripes drown everything else")
    plain = palette(torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(2, -1, 64, 64), features)
    torch.testing.assert_close(plain.unflatten(1, (-1, 8))[..., :3], torch.tensor([0.1, 0.5, 0.9]).expand(2, 5, -1))
    face = torch.zeros(2, 3, 64, 64)
    face[..., 16:48, 16:48] = 1
    assert bool((Palette.skin(palette(face, features)) > 0.8).all())


@torch.no_grad()
def test_a_told_decoder_knows_the_colours_of_the_portrait(told, clip):
    """A spot of colour that no convolution could carry so far changes the picture."""
    wide = torch.zeros(1, 3, 16 * 40, 16 * 40)
    marked = wide.clone()
    marked[..., :16, :16] = 1
    latents, motion = torch.zeros(1, 1, 8, 40, 40), torch.zeros(1, 1, 4, MOTION_WIDTH)
    far = [told.decode(latents, told.initial_decode_state(x), motion)[0][..., -16:, -16:] for x in (wide, marked)]
    assert (far[0] - far[1]).abs().max() > 1e-6


def test_layers_make_the_picture(told, clip):
    latents = torch.randn(2, 3, 8, 4, 4)
    layers, _ = told.layers(latents, told.initial_decode_state(clip[:, 0]), None)
    pixels, _ = told.decode(latents, told.initial_decode_state(clip[:, 0]))
    assert layers.mask.shape == (2, 12, 1, 64, 64)
    assert bool((layers.mask > 0).all() and (layers.mask < 1).all())
    torch.testing.assert_close(layers.mask * layers.moved + (1 - layers.mask) * layers.painted, pixels)


def test_a_window_sees_its_part_of_the_common_flow_and_of_the_arms():
    teller = Teller(8)
    with torch.no_grad():
        teller.field.copy_(torch.randn(MOTION_WIDTH, 2, 8, 8))
    motion = torch.randn(3, 1, 4, MOTION_WIDTH)
    motion[..., motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    all_of_it, part = (torch.tensor([w]).expand(3, -1) for w in ([0.0, 0.0, 1.0], [0.25, 0.5, 0.5]))
    whole = teller.flow(motion, None, 8)
    torch.testing.assert_close(teller.flow(motion, all_of_it, 8), whole)
    torch.testing.assert_close(teller.flow(motion, part, 4) * 0.5, whole[..., 4:, 2:6])
    torch.testing.assert_close(teller.flow(motion, None, 16).mean((-1, -2)), whole.mean((-1, -2)), atol=0.02, rtol=0)
    drawn = draw_arms(told_bones(motion, None), 32, None)
    assert drawn.shape == (3, 1, 4, 6, 32, 32)
    assert 0.5 < float(drawn.max()) <= 1
    torch.testing.assert_close(draw_arms(told_bones(motion, part), 16, part), drawn[..., 16:, 8:24])
    palette = torch.rand(3, Palette.width(2)) + 0.1
    told = teller(motion, palette, part, 64)
    assert told.arms_4.shape == (12, 6, 16, 16)
    torch.testing.assert_close(told.common, teller.flow(motion, part, 8).flatten(0, 2) * 64)
    second = told.every(2)
    assert torch.equal(second.common, told.common[1::2])
    assert torch.equal(second.arms_4, told.arms_4[1::2])
    assert torch.equal(second.motion, motion[:, :, 1::2])
    arms, coloured = (x.unflatten(0, (3, 4)) for x in (told.arms_4, told.coloured_arms()))
    assert torch.equal(coloured[:, :, :6], arms)
    skin = Palette.skin(palette)[:, None, :, None, None]
    torch.testing.assert_close(coloured[:, :, 6:] / skin, arms.amax(2, keepdim=True).expand(-1, -1, 3, -1, -1))


@torch.no_grad()
def test_a_common_flow_moves_the_portrait_before_anything_is_learnt(clip):
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH, field_grid=8)).eval()
    codec.teller.field[0, 0] = 8.0  # of 256: two of these 64 pixels
    latents, motion = torch.zeros(2, 1, 8, 4, 4), torch.zeros(2, 1, 4, MOTION_WIDTH)
    motion[..., 0] = 1
    state = codec.initial_decode_state(clip[:, 0])
    moved = codec.layers(latents, state, motion)[0].moved
    by_two, by_one = clip[:, :1, ..., 2:], clip[:, :1, ..., 1:]
    torch.testing.assert_close(moved[:, 1:, ..., :-2], by_two.expand(-1, 3, -1, -1, -1), atol=1e-4, rtol=0)
    torch.testing.assert_close(moved[:, :1, ..., :-1], by_one, atol=1e-4, rtol=0, msg="half way from rest")
    half = codec.layers(latents, state, motion, every=2)[0].moved
    torch.testing.assert_close(half, moved[:, 1::2])


@torch.no_grad()
def test_a_picture_between_two_is_moved_half_as_far_not_a_mean_of_both():
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH, field_grid=8)).eval()
    codec.teller.field[0, 0] = 16.0  # of 256: four of these 64 pixels
    portrait = torch.full((1, 3, SIZE, SIZE), -1.0)
    portrait[..., 40] = 1.0  # a line
    motion = torch.zeros(1, 2, 4, MOTION_WIDTH)
    motion[:, 1, :, 0] = 1
    clip = codec.layers(torch.zeros(1, 2, 8, 4, 4), codec.initial_decode_state(portrait), motion)[0].moved
    assert clip[0, :, 0, 30].argmax(-1).tolist() == [40, 40, 40, 40, 38, 36, 36, 36]
    torch.testing.assert_close(clip[0, 4, 0, 30].amax(), clip[0, 5, 0, 30].amax(), atol=0.05, rtol=0)
    amid = codec.layers(torch.zeros(1, 1, 8, 4, 4), codec.initial_decode_state(portrait).amid(), motion[:, 1:])[0].moved
    assert torch.equal(amid[:, 0], amid[:, 1])


def test_a_moved_picture_keeps_its_edges():
    board = torch.zeros(1, 1, 16, 16)
    board[..., ::2] = 1
    flow = torch.zeros(1, 2, 16, 16)
    flow[:, 0] = 0.25
    sharp, soft = (warp(board, flow, 16, is_sharp=how) for how in (True, False))
    assert sharp[..., 4:-4].std() > 1.2 * soft[..., 4:-4].std()
    torch.testing.assert_close(warp(board, torch.zeros_like(flow), 16, is_sharp=True), board, atol=1e-6, rtol=0)
