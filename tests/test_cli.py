from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

import flowact
from flowact.cli import main
from tests.fake_avatar import FakeAvatar
from tests.media.samples import draw_face, tone, write_wav

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def files(tmp_path: Path) -> SimpleNamespace:
    """A good portrait, a good voice of 1.3 s and a folder for the film."""
    Image.fromarray(draw_face(300, 300, 150, 120, 110)).save(tmp_path / "face.png")
    write_wav(tmp_path / "voice.wav", tone(1.3, 16_000))
    (tmp_path / "out").mkdir()
    return SimpleNamespace(
        folder=tmp_path, image=tmp_path / "face.png", audio=tmp_path / "voice.wav", out=tmp_path / "out" / "film.mp4"
    )


@pytest.fixture
def avatar(monkeypatch: pytest.MonkeyPatch) -> FakeAvatar:
    fake = FakeAvatar()
    monkeypatch.setattr(flowact, "load", lambda path=None, runtime="auto": fake)
    return fake


def run(*words: object) -> int:
    """Exit code of `flowact WORDS`."""
    before, sys.argv = sys.argv, ["flowact", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def film(path: Path) -> tuple[int, float]:
    """Frames and seconds of sound."""
    with av.open(str(path)) as file:
        frames = sum(1 for _ in file.decode(video=0))
    with av.open(str(path)) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    return frames, samples / 48_000


def test_generate(files: SimpleNamespace, avatar: FakeAvatar, capsys: pytest.CaptureFixture[str]) -> None:
    report = files.folder / "report.json"
    words = ["--image", files.image, "--audio", files.audio, "--out", files.out, "--report", report, "--seed", 5]
    assert run("generate", *words, "--prompt", "a person  talks") == 0
    frames, sound_s = film(files.out)
    assert frames == 33  # 1.3 s, not three whole chunks
    assert sound_s == pytest.approx(33 / 25, abs=0.03)
    assert avatar.asked is not None
    assert (avatar.asked.prompt, avatar.asked.seed) == ("a person talks", 5)
    assert avatar.asked.image.shape == (64, 64, 3)
    facts = json.loads(report.read_text())
    assert facts["resolution"] == "64x64"
    assert facts["passes_per_chunk"] == 3
    assert facts["video_s"] == pytest.approx(1.32)
    assert facts["fps_end_to_end"] > 0
    assert facts["chunk_p50_s"] == 0.01
    assert facts["peak_memory_mb"] > 10
    assert facts["machine"]["cores"] >= 1
    said = capsys.readouterr()
    assert "film.mp4: 1.32 s at 64x64" in said.out
    assert "fps" in said.out


def test_mark_can_be_left_out(files: SimpleNamespace, avatar: FakeAvatar) -> None:
    corners = []
    for option in ("--mark", "--no-mark"):
        assert run("generate", "--image", files.image, "--seconds", 0.4, "--out", files.out, option) == 0
        with av.open(str(files.out)) as file:
            corners.append(next(file.decode(video=0)).to_ndarray(format="rgb24")[48:, 16:].astype(int))
    assert np.abs(corners[0] - corners[1]).max() > 60


def test_script_becomes_timed_prompts(files: SimpleNamespace, avatar: FakeAvatar) -> None:
    script = files.folder / "script.txt"
    script.write_text("0 a person talks\n0.5 a person waves\n")
    words = ["--image", files.image, "--audio", files.audio, "--out", files.out, "--script", script]
    assert run("generate", *words) == 0
    assert avatar.asked is not None
    assert [(p.start_s, p.text) for p in avatar.asked.prompt] == [(0.0, "a person talks"), (0.5, "a person waves")]


def notes(name: str) -> Callable[[SimpleNamespace], list[object]]:
    """Arguments that work but deserve a note."""

    def silent(files: SimpleNamespace) -> list[object]:
        return ["--audio", write_wav(files.folder / "silent.wav", np.zeros(8000, np.float32))]

    def clipped(files: SimpleNamespace) -> list[object]:
        return ["--audio", write_wav(files.folder / "loud.wav", tone(0.5, 16_000, 4.0))]

    def foreign(files: SimpleNamespace) -> list[object]:
        return ["--seconds", 0.4, "--prompt", "человек машет рукой"]

    return {"silent": silent, "clipped": clipped, "English": foreign}[name]


@pytest.mark.parametrize("word", ["silent", "clipped", "English"])
def test_notes(files: SimpleNamespace, avatar: FakeAvatar, capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert run("generate", "--image", files.image, "--out", files.out, *notes(word)(files)) == 0
    assert word in capsys.readouterr().err
    assert film(files.out)[0] > 0


BAD: dict[str, tuple[dict[str, str], str]] = {
    "portrait missing": ({"--image": "none.png"}, "does not exist"),
    "portrait empty": ({"--image": "empty.png"}, "is empty"),
    "portrait is text": ({"--image": "text.png"}, "not a picture"),
    "portrait truncated": ({"--image": "cut.png"}, "damaged or truncated"),
    "portrait without face": ({"--image": "blank.png"}, "no face found"),
    "crop unknown": ({"--crop": "left"}, "expected one of auto"),
    "audio missing": ({"--audio": "none.wav"}, "does not exist"),
    "audio empty": ({"--audio": "empty.png"}, "is empty"),
    "audio is a picture": ({"--audio": "face.png"}, "no sound"),
    "audio is text": ({"--audio": "text.wav"}, "not audio"),
    "audio truncated": ({"--audio": "cut.wav"}, "truncated"),
    "prompt empty": ({"--prompt": "  "}, "--prompt is empty"),
    "prompt very long": ({"--prompt": "wave " * 1000}, "characters, more than"),
    "script missing": ({"--script": "none.txt"}, "does not exist"),
    "prompt and script": ({"--prompt": "a", "--script": "text.png"}, "both --prompt and --script"),
    "seconds zero": ({"--seconds": "0"}, "expected more than 0"),
    "seconds not a number": ({"--seconds": "nan"}, "expected more than 0"),
    "folder missing": ({"--out": "no/film.mp4"}, "does not exist"),
    "not an mp4": ({"--out": "film.mov"}, "does not end in .mp4"),
    "report folder missing": ({"--report": "no/r.json"}, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    files: SimpleNamespace,
    avatar: FakeAvatar,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.chdir(files.folder)
    Path("empty.png").touch()
    Path("text.png").write_text("hello there\n" * 50)
    Path("text.wav").write_text("hello there\n" * 50)
    Path("cut.png").write_bytes(files.image.read_bytes()[:2000])
    Path("cut.wav").write_bytes(files.audio.read_bytes()[:20_000])
    Image.new("RGB", (200, 200), "white").save("blank.png")
    before = sorted(files.folder.rglob("*"))
    changed, words = BAD[case]
    options = {"--image": files.image, "--audio": files.audio, "--out": files.out} | changed
    assert run("generate", *(word for pair in options.items() for word in pair)) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1
    assert sorted(files.folder.rglob("*")) == before


def test_neither_audio_nor_seconds(
    files: SimpleNamespace, avatar: FakeAvatar, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "--image", files.image, "--out", files.out) == 2
    assert "neither --audio nor --seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[1, 2]", b'{"library": "other"}', b'{"avatar": {}}', bytes(range(256))]
)
def test_damaged_or_foreign_model(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    model = files.folder / "model"
    model.mkdir()
    if content is not None:
        (model / "model_index.json").write_bytes(content)
    words = ["--image", files.image, "--audio", files.audio, "--out", files.out, "--model", model]
    assert run("generate", *words) == 2
    said = capsys.readouterr().err.strip()
    assert "model" in said
    assert len(said.splitlines()) == 1
    assert os.listdir(files.out.parent) == []


def test_broken_engine_leaves_nothing(files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowact, "load", lambda path=None, runtime="auto": FakeAvatar(fail_at=2))
    with pytest.raises(RuntimeError, match="the engine broke"):
        run("generate", "--image", files.image, "--audio", files.audio, "--out", files.out)
    assert os.listdir(files.out.parent) == []


def test_ctrl_c_keeps_a_playable_film(files: SimpleNamespace) -> None:
    program = (
        # A test run started in the background inherits an ignored SIGINT; a terminal's user does not.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import flowact; from tests.fake_avatar import FakeAvatar; from flowact.cli import main;"
        "flowact.load = lambda path=None, runtime='auto': FakeAvatar(chunk_s=0.05); main()"
    )
    words = ["generate", "--image", str(files.image), "--seconds", "600", "--out", str(files.out)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as child:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 0 for path in files.out.parent.iterdir()):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert "are kept in" in said
    assert [path.name for path in files.out.parent.iterdir()] == ["film.mp4"]
    frames, sound_s = film(files.out)
    assert frames >= 1
    assert sound_s == pytest.approx(frames / 25, abs=0.065)  # a frame, and the encoder's block


def test_help_needs_no_torch() -> None:
    program = (
        "import sys\nsys.argv = ['flowact', '--help']\nfrom flowact.cli import main\n"
        "try:\n    main()\nfinally:\n    assert not {'torch', 'av', 'cv2', 'PIL', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("generate", "info", "studio", "train"):
        assert command in done.stdout


def test_info(avatar: FakeAvatar, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    said = capsys.readouterr().out
    for word in (flowact.__version__, "torch", "processor", "fake, 64x64, 3 passes a chunk"):
        assert word in said


def test_inspect(files: SimpleNamespace, avatar: FakeAvatar, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "--image", files.image, "--seconds", 1, "--out", files.out, "--seed", 5) == 0
    capsys.readouterr()
    assert run("inspect", files.out) == 0
    said = capsys.readouterr().out
    for word in ("valid", "the key of this installation", f"FlowAct {flowact.__version__}", "fake", "5"):
        assert word in said
    content = files.out.read_bytes()
    files.out.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert run("inspect", files.out) == 1
    assert "TAMPERED" in capsys.readouterr().out
    with av.open(str(files.out)) as source, av.open(str(files.folder / "plain.mp4"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    assert run("inspect", files.folder / "plain.mp4") == 3
    assert "no credentials" in capsys.readouterr().out
    assert run("inspect", files.folder / "absent.mp4") == 2
    assert "No such file" in capsys.readouterr().err


def test_train_hands_its_words_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--help") == 0
    assert "--resume" in capsys.readouterr().out


def test_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class NoModernGL:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "flowact.studio.commands":
                raise ModuleNotFoundError("No module named 'moderngl'", name="moderngl")

    monkeypatch.delitem(sys.modules, "flowact.studio.commands", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoModernGL, *sys.meta_path])
    assert run("studio", "--help") == 2
    assert "pip install 'flowact[studio]'" in capsys.readouterr().err
