from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.models.audio.config import CUES, AudioConfig, MelConfig
from flowact.models.audio.encoder import AudioEncoder
from flowact.studio.performance import VISEMES
from flowact.train.data.hearing import CorpusConfig, HearingCorpus, make_corpus
from flowact.train.data.hearing_batches import HearingAugment, hearing_batches
from flowact.train.objectives.audio import HearingObjective, measure_hearing
from flowact.train.stage import Place


def toy_corpus(clips: int = 4, frames: int = 50) -> HearingCorpus:
    """A tone that says "aa" in every second half second, so that a few steps can learn it."""
    time = np.arange(frames * 640) / 16_000
    loud = (time * 2).astype(int) % 2
    tone = np.sin(2 * np.pi * 300 * time) * loud * 8000
    spoken = loud.reshape(frames, 640)[:, 320]
    visemes = np.zeros((frames, len(VISEMES)), np.uint8)
    visemes[np.arange(frames), np.where(spoken, VISEMES.index("aa"), 0)] = 255
    pitch = np.where(spoken, np.linspace(-0.5, 0.5, frames), np.nan)
    cues = np.stack([spoken, spoken, spoken, spoken * 0.5, pitch], axis=1).astype(np.float16)
    return HearingCorpus(*(np.stack([x] * clips) for x in (tone.astype(np.int16), visemes, cues)))


def test_batches_depend_on_the_place_alone_and_keep_labels() -> None:
    corpus = toy_corpus()
    batches = hearing_batches(corpus, HearingAugment(rows=3, frames=40), MelConfig())
    stream = batches(Place(seed=1))
    next(stream)
    second, resumed = next(stream), next(batches(Place(seed=1, step=1)))
    assert all(torch.equal(second[name].nan_to_num(9), resumed[name].nan_to_num(9)) for name in second)
    assert second["audio"].shape == (3, 40 * 640)
    assert second["filters"].shape == (3, 257, 64)
    speech = second["visemes"][..., VISEMES.index("aa")]
    assert torch.equal(speech, second["cues"][..., CUES.index("speech")])


def test_too_small_corpus_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 clips of 50 frames"):
        hearing_batches(toy_corpus(), HearingAugment(rows=16), MelConfig())


def test_training_teaches_the_toy_language() -> None:
    torch.manual_seed(0)
    corpus = toy_corpus()
    encoder = AudioEncoder(AudioConfig(width=32, fast_blocks=1, slow_blocks=1))
    objective = HearingObjective(encoder)
    batches = hearing_batches(corpus, HearingAugment(rows=4, frames=40, clean_share=1.0), MelConfig())(Place(seed=0))
    optimiser = torch.optim.Adam(encoder.parameters(), lr=5e-3)
    for step in range(40):
        loss, values = objective(next(batches), step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(values) == {"visemes", *CUES}
    found = measure_hearing(encoder, corpus, degraded=False)
    assert found["viseme_accuracy"] > 0.9
    assert found["jaw_correlation"] > 0.9


def test_features_that_others_know_are_held_where_they_are() -> None:
    torch.manual_seed(0)
    known, encoder = (AudioEncoder(AudioConfig(width=32, fast_blocks=1, slow_blocks=1)) for _ in range(2))
    batch = next(
        hearing_batches(toy_corpus(), HearingAugment(rows=4, frames=40, clean_share=1.0), MelConfig())(Place(seed=0))
    )
    free, _ = HearingObjective(encoder)(batch, 0)
    held, values = HearingObjective(encoder, known=known)(batch, 0)
    assert float(values["away"]) > 0.1
    assert float(held.detach()) > float(free.detach())
    encoder.load_state_dict(known.state_dict())
    held, values = HearingObjective(encoder, known=known)(batch, 0)
    assert float(values["away"]) == 0
    torch.testing.assert_close(held, HearingObjective(encoder)(batch, 0)[0])
    held.backward()
    assert all(p.grad is None for p in known.parameters())


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_corpus_is_repeatable_labelled_and_survives_the_disk(tmp_path: Path) -> None:
    config = CorpusConfig(clips=2, frames=100, silent_share=0.0)
    corpus, again = make_corpus(config), make_corpus(config)
    assert np.array_equal(corpus.audio, again.audio)
    assert corpus.audio.shape == (2, 64_000)
    corpus.save(tmp_path / "train.npz")
    loaded = HearingCorpus.load(tmp_path / "train.npz")
    assert np.array_equal(loaded.visemes, corpus.visemes)
    speech = corpus.cues[..., CUES.index("speech")] > 0.5
    level = np.abs(corpus.audio.astype(np.float32)).reshape(2, 100, 640).mean(-1)
    assert level[speech].mean() > 10 * level[~speech].mean()


def test_missing_corpus_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipes\.audio corpus"):
        HearingCorpus.load(tmp_path / "train.npz")
