import json

import numpy as np
import torch

from flowact.core.motion import MOTION_TRACKS
from flowact.evaluate.codec import code, evaluate_codec
from flowact.models.video_vae.config import VideoVAEConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.studio.performance import LANDMARKS


def _codec() -> VideoVAE:
    torch.manual_seed(0)
    widths = {f"{name}": 16 for name in ("encoder_width_8", "encoder_width_16", "trunk_width", "reference_width_16")}
    return VideoVAE(VideoVAEConfig(**widths, frame_width_8=16, frame_width_4=16, reference_width_8=16))


def test_a_clip_is_cut_to_whole_chunks_and_keeps_its_size():
    frames = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), np.uint8)
    tracks = {name: np.zeros((30, width), np.float32) for name, width in MOTION_TRACKS.items()}
    tracks["landmarks"] = np.full((30, len(LANDMARKS), 2), np.nan, np.float32)
    made, seconds = code(_codec(), frames, tracks)
    assert made.shape == (24, 64, 64, 3)
    assert made.dtype == np.uint8
    assert len(seconds) == 2


def test_the_report_compares_with_the_still_portrait(dataset, judges, tmp_path):
    evaluate_codec(_codec(), dataset, judges, tmp_path, 2, "val", lambda _: None)
    lines = {line["name"]: line for line in json.loads((tmp_path / "report.json").read_text())["measures"]}
    assert lines["PSNR, dB, mean over frames"]["score"] > 10
    assert lines["PSNR of the still portrait in the mouth box, dB"]["score"] < 40
    assert lines["seconds to decode 12 frames, median"]["score"] > 0
    assert (tmp_path / "codec.png").exists()


def test_a_reader_of_mouths_learns_from_other_people(dataset, judges, tmp_path, monkeypatch):
    met = []

    def read(train, heldout):
        met.append((train, heldout))
        return 0.8

    monkeypatch.setattr("flowact.evaluate.codec.read_latents", read)
    table = evaluate_codec(_codec(), dataset, judges, tmp_path, 2, "val", lambda _: None, learners=3)
    ((train, heldout),) = met
    assert (len(train.latents), len(heldout.latents)) == (3 * 9, 2 * 9)
    assert train.mouth_box.shape == (27, 4, 4)
    assert not torch.equal(train.mouth_open[:9], heldout.mouth_open[:9])
    assert "mouth opening read off the latents" in table
