"""Compose one performance from a seed: plan, voice, mouth, body, words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowact.core.clock import FPS, SAMPLE_RATE_HZ, frames_to_samples
from flowact.core.errors import ConfigError
from flowact.studio import motion, states
from flowact.studio.augment import degrade
from flowact.studio.behaviour import plan_segments
from flowact.studio.captions import write_captions
from flowact.studio.gestures import Cue, perform
from flowact.studio.performance import Float, Performance, Phone, Segment, State
from flowact.studio.sentences import make_sentence
from flowact.studio.speech import SILENCE, Speech, Voice, draw_voice, loudness, speak
from flowact.studio.tracks import Tracks, ease, window
from flowact.studio.visemes import accents, jaw_track, viseme_track

SPLITS = ("train", "heldout")
_EDGE_S = 0.01
_MOODS = ("neutral", "happy", "serious", "sad")
_MOOD_ODDS = (0.45, 0.33, 0.14, 0.08)
_REACTIONS = ("surprise", "smile", "laugh")


@dataclass(frozen=True)
class _Voiced:
    """The voice of a whole clip: clean samples, phones that cover it, the words, and when questions end."""

    samples: Float
    phones: tuple[Phone, ...]
    sentence: str
    question_ends_s: tuple[float, ...]


def make_performance(
    seed: int,
    frames: int = 120,
    split: str = "train",
    state: State | None = None,
    gesture: str | None = None,
    augment: bool = True,
    busy_hands: bool = False,
    loose_face: bool = False,
) -> Performance:
    """Compose the performance that belongs to `seed`; the same arguments always give the same one.

    Args:
        seed: any non-negative number.
        frames: length at 25 fps.
        split: "train", or "heldout": a voice and sentences that training never hears.
        state: force one state for the whole clip.
        gesture: force one gesture, in a single segment.
        augment: let the audio sound as through a cheap microphone in a room; False leaves it clean.
        busy_hands: raise a hand in every segment that is long enough.
        loose_face: let the face do what it likes (`motion.let_face_loose`); mouths still follow the voice.

    Raises:
        ConfigError: an argument is unknown, or the synthesiser is not installed.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    # One generator per part: a change in one part leaves the others of the same seed alone.
    plan_rng, voice_rng, body_rng, word_rng, room_rng = np.random.default_rng([seed, SPLITS.index(split)]).spawn(5)
    segments = plan_segments(plan_rng, frames, state, gesture, busy_hands)
    mood = str(plan_rng.choice(_MOODS, p=_MOOD_ODDS))
    reaction = str(plan_rng.choice(_REACTIONS))
    voice = draw_voice(voice_rng, heldout=split == "heldout")
    voiced = _voice_clip(segments, frames, voice, voice_rng, heldout=split == "heldout")
    level = loudness(voiced.samples)
    visemes = viseme_track(voiced.phones, level, frames, style=float(body_rng.uniform(0.95, 1.25)))
    tracks = Tracks(frames)
    tracks.unit("jawOpen", jaw_track(visemes, drop=float(body_rng.uniform(0.2, 0.36))))
    hands = _move(tracks, segments, voiced, accents(voiced.phones, level), body_rng, mood, reaction, loose_face)
    return Performance(
        visemes=visemes,
        face=tracks.face.astype(np.float32),
        head=tracks.head.astype(np.float32),
        torso=tracks.torso.astype(np.float32),
        sway=tracks.sway.astype(np.float32),
        shoulders=tracks.shoulders.astype(np.float32),
        breath=tracks.breath.astype(np.float32),
        gaze=tracks.gaze(),
        hand_active=tracks.hand_active.astype(np.float32),
        wrist=tracks.wrist.astype(np.float32),
        palm=tracks.palm.astype(np.float32),
        fingers=tracks.fingers.astype(np.float32),
        curl=tracks.curl.astype(np.float32),
        audio=degrade(voiced.samples, room_rng) if augment else voiced.samples,
        phones=voiced.phones,
        segments=segments,
        captions=write_captions(segments, hands, tracks.events, word_rng, mood, reaction),
        voice=voice.name if voiced.sentence else "",
        sentence=voiced.sentence,
        extra={"mood": mood, "reaction": reaction if any(s.state == "react" for s in segments) else ""},
    )


def _voice_clip(
    segments: tuple[Segment, ...], frames: int, voice: Voice, rng: np.random.Generator, heldout: bool
) -> _Voiced:
    """Fill the talking segments with sentences; a segment at the clip's edge may start or end amid a word."""
    total = frames_to_samples(frames)
    length_s = frames / FPS
    samples = np.zeros(total, np.float32)
    spoken: list[Phone] = []
    words: list[str] = []
    questions: list[float] = []
    for segment in segments:
        if segment.state != "talk":
            continue
        opens, closes = segment.start_s <= 0.0, segment.end_s >= length_s
        first = segment.start_s + (0.0 if opens else 0.12)
        last = segment.end_s - (0.0 if closes else 0.12)
        # Half of the clips that open with talk open amid a word, the others with the breath before it.
        at = first + (float(rng.uniform(-1.5, 0.6) if rng.random() < 0.7 else rng.uniform(0.0, 0.6)) if opens else 0.0)
        speeches: list[tuple[float, Speech]] = []
        while at < last - 0.3:
            speech = speak(make_sentence(rng, heldout), voice)
            speeches.append((at, speech))
            at += speech.length_s + float(rng.uniform(-0.1, 0.35))
            if at > 0.5 * (first + last) and rng.random() < 0.2:
                break
        if opens and not closes:  # end with the sentence, having begun before the clip did
            shift = last - (speeches[-1][0] + speeches[-1][1].length_s)
            speeches = [(start + shift, speech) for start, speech in speeches]
        for start, speech in speeches:
            if _place(samples, spoken, start, speech, first, last):
                words.append(speech.text)
                if speech.text.endswith("?") and start + speech.length_s < last + 0.2:
                    questions.append(start + speech.length_s - 0.15)
    return _Voiced(samples, _cover(spoken, length_s), " ".join(words), tuple(questions))


def _place(samples: Float, spoken: list[Phone], start_s: float, speech: Speech, first_s: float, last_s: float) -> bool:
    """Mix `speech` in at `start_s`, cut to [first, last] and to what is still unspoken; True if a sound remains."""
    first_s = max(first_s, spoken[-1].end_s if spoken else 0.0, 0.0)
    offset = round(start_s * SAMPLE_RATE_HZ)
    begin, end = round(first_s * SAMPLE_RATE_HZ), min(round(last_s * SAMPLE_RATE_HZ), len(samples))
    low, high = max(begin, offset), min(end, offset + len(speech.samples))
    if high - low < SAMPLE_RATE_HZ // 20:
        return False
    part = speech.samples[low - offset : high - offset].copy()
    fade = ease(np.arange(len(part)) / (SAMPLE_RATE_HZ * _EDGE_S)) * ease(
        (len(part) - np.arange(len(part))) / (SAMPLE_RATE_HZ * _EDGE_S)
    )
    samples[low:high] += part * fade.astype(np.float32)
    base, low_s, high_s = offset / SAMPLE_RATE_HZ, low / SAMPLE_RATE_HZ, high / SAMPLE_RATE_HZ
    kept = [
        Phone(phone.label, max(phone.start_s + base, low_s), min(phone.end_s + base, high_s))
        for phone in speech.phones
        if phone.end_s + base > low_s + 1e-6 and phone.start_s + base < high_s - 1e-6
    ]
    # Trailing hush is not speech: the next sentence may begin in it.
    while kept and kept[-1].label == SILENCE:
        kept.pop()
    spoken.extend(kept)
    return bool(kept)


def _cover(spoken: list[Phone], length_s: float) -> tuple[Phone, ...]:
    """Fill the gaps with silence, so that the phones cover [0, length]; neighbouring silences become one."""
    covered: list[Phone] = []
    at = 0.0
    for phone in [*spoken, Phone(SILENCE, length_s, length_s)]:
        if phone.start_s > at + 1e-9:
            covered.append(Phone(SILENCE, at, phone.start_s))
        if phone.end_s > phone.start_s:
            covered.append(phone)
        at = max(at, phone.end_s)
    merged: list[Phone] = []
    for phone in covered:
        if merged and phone.label == SILENCE == merged[-1].label:
            phone = Phone(SILENCE, merged.pop().start_s, phone.end_s)
        merged.append(phone)
    return tuple(merged)


def _move(
    tracks: Tracks,
    segments: tuple[Segment, ...],
    voiced: _Voiced,
    beats: list[tuple[float, float]],
    rng: np.random.Generator,
    mood: str,
    reaction: str,
    loose_face: bool,
) -> tuple[str, ...]:
    """Fill the tracks; returns the hand that each segment's gesture would be made with, "left" or "right"."""
    motion.alive(tracks, rng, temper=float(rng.uniform(0.6, 1.4)))
    startled: list[float] = []
    hands: list[str] = []
    for segment in segments:
        start, end = segment.start_s, segment.end_s
        weight = window(tracks.time, start, end, tracks.length_s)
        inside = [(at, strength) for at, strength in beats if start <= at < end]
        if segment.state == "talk":
            ends = [at for at in voiced.question_ends_s if start <= at <= end + 0.3]
            states.talk(tracks, rng, weight, inside, ends[-1] if ends else None)
        elif segment.state == "react":
            startled.append(states.react(tracks, rng, weight, start, end, reaction))
        elif segment.state == "gesture":
            states.gesticulate(tracks, rng, weight)
        else:
            compose = {"listen": states.listen, "think": states.think, "idle": states.idle}[segment.state]
            compose(tracks, rng, weight, start, end)
        cue = _cue(segment, tracks.length_s, rng, inside)
        hands.append("left" if cue.side > 0 else "right")
        if segment.gesture != "none":
            perform(segment.gesture, tracks, rng, cue)
    states.show_mood(tracks, rng, mood)
    motion.blink(tracks, rng, avoid=startled)
    if loose_face:
        motion.let_face_loose(tracks, rng)
    motion.settle(tracks)
    return tuple(hands)


def _cue(segment: Segment, length_s: float, rng: np.random.Generator, beats: list[tuple[float, float]]) -> Cue:
    side = 1.0 if rng.random() < 0.2 else -1.0
    size, pace = float(rng.uniform(0.8, 1.25)), float(rng.uniform(0.85, 1.2))
    return Cue(segment.start_s, segment.end_s, length_s, side, size, pace, tuple(beats))
