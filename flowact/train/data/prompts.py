"""Prompts with the action they ask for: the studio's captions, and the way people ask for the same things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowact.models.text.config import TextConfig
from flowact.models.text.tokenizer import tokenize
from flowact.studio.performance import GESTURES, Segment
from flowact.studio.score import make_performance
from flowact.studio.sentences import make_sentence
from flowact.train.stage import Batch, MakeBatches, Place

DOINGS = ("talk", "listen", "think", "surprise", "smile", "laugh", "idle", "silent")
MOODS = ("neutral", "happy", "serious", "sad")
UNSAID = -100
"""Label of what a prompt leaves open."""

_HELDOUT = (
    "tells a story|telling a story|hears someone out|hearing someone out|considers an answer|considering an answer"
    "|is taken aback|being taken aback|breaks into a smile|breaking into a smile|laughs heartily|laughing heartily"
    "|waits calmly|waiting calmly|greets with a wave|greeting with a wave|nods in agreement|nodding in agreement"
    "|disagrees with a shake of the head|disagreeing with a shake of the head|points a finger|pointing a finger"
    "|shrugs with open hands|shrugging with open hands|brings a hand to the chin|bringing a hand to the chin"
    "|holds out open palms|holding out open palms|emphasises with hand beats|emphasising with hand beats"
    "|claps both hands|clapping both hands|makes a thumbs-up sign|making a thumbs-up sign"
)
HELDOUT_PHRASES = tuple(_HELDOUT.split("|"))
"""Captions with one of these phrases are kept for testing."""

_ASKED_DOINGS = {
    "talk": "speak|talk to me|chat with us|tell me about it|explain it|give a speech|present the news|keep talking",
    "listen": "listen|listen to me|be attentive|lend an ear|pay attention|follow what I say|hear what I say",
    "think": "think|reflect|wonder|contemplate|mull it over|consider it|look pensive|hesitate|ponder",
    "surprise": "look surprised|be astonished|gasp|look shocked|be startled|look amazed|show surprise",
    "smile": "smile|grin|beam|give a friendly smile|look pleased|smile at me",
    "laugh": "laugh|giggle|chuckle|crack up|burst into laughter|laugh out loud|find it funny",
    "idle": "wait|rest|stay still|do nothing|stand by|be idle|relax|pause|sit quietly|hold still|wait for me",
}
_ASKED_GESTURES = {
    "wave": "wave|wave goodbye|wave hello|wave your hand|greet us with the hand|raise a hand in greeting|say hi",
    "nod": "nod|agree|nod approvingly|say yes with the head|nod your head|show agreement",
    "shake": "shake the head|shake your head|disagree|refuse|say no with the head|deny it",
    "point": "point|point at me|point with the index finger|point over there|show the direction|indicate it",
    "shrug": "shrug|shrug your shoulders|raise the shoulders|shrug it off|show that you have no idea",
    "hand_to_chin": "touch your chin|stroke the chin|hold the chin|rest the chin on a fist|rub your chin",
    "open_palms": "spread the hands|show your palms|hold the hands out|open the arms|welcome us with open hands",
    "beat": "gesture|talk with the hands|gesticulate|move the hands for emphasis|use your hands while you speak",
    "clap": "clap|applaud|give applause|clap your hands|give a round of applause",
    "thumbs_up": "give a thumbs up|raise the thumb|approve with the thumb|thumbs up|show a thumb",
}
_ASKED_MOODS = {
    "happy": "happily|with joy|cheerfully|in a good mood|glad",
    "serious": "seriously|sternly|gravely|in earnest|formal",
    "sad": "sadly|with sorrow|unhappily|in low spirits|gloomy",
    "neutral": "calmly|relaxed|neutrally",
}
_ASKED = "{}|please {}|can you {}|now {}|{} please|they should {}|make them {}|I want you to {}|go on and {}"
_SEEN = "{}|she is {}|he is {}|a man {}|a woman {}|the girl is {}|somebody {}|the host is {}|start {}|keep {}"
_DOUBLED = ("clap", "nod", "shrug", "chat", "grin", "sit", "rub", "beg", "get", "put")


@dataclass(frozen=True)
class LabelledPrompt:
    """A prompt and what it asks for: indices into DOINGS, GESTURES and MOODS, or UNSAID."""

    text: str
    doing: int
    gesture: int
    mood: int

    @property
    def heldout(self) -> bool:
        """Whether it holds a phrase that is kept for testing."""
        return any(phrase in self.text.lower() for phrase in HELDOUT_PHRASES)


def caption_prompts(performances: int, seed: int = 0) -> list[LabelledPrompt]:
    """Captions of so many performances of three seconds, with their labels."""
    prompts = []
    for number in range(seed, seed + performances):
        performance = make_performance(number, frames=75)
        for caption in performance.captions:
            segment = next(s for s in performance.segments if s.start_s == caption.start_s)
            mood = MOODS.index(performance.extra["mood"]) if caption.detail else UNSAID
            doing = DOINGS.index(_doing(segment, performance.extra["reaction"]))
            gesture = GESTURES.index(segment.gesture)
            # Dense scripts say "they make a gesture" when the gesture falls into the next clip.
            prompts.append(LabelledPrompt(caption.text, doing, gesture if caption.detail < 2 else UNSAID, mood))
    return prompts


def asked_prompts(count: int, rng: np.random.Generator) -> list[LabelledPrompt]:
    """Wishes as users type them: an action or two, often a mood, and words that mean nothing here."""
    prompts = []
    for _ in range(count):
        doing, gesture, mood = "", "none", UNSAID
        words = []
        seen = rng.random() < 0.5
        if rng.random() < 0.6:
            doing = str(rng.choice(list(_ASKED_DOINGS)))
            words.append(str(rng.choice(_ASKED_DOINGS[doing].split("|"))))
        if not words or rng.random() < 0.35:
            gesture = str(rng.choice(list(_ASKED_GESTURES)))
            words.append(str(rng.choice(_ASKED_GESTURES[gesture].split("|"))))
        words = [_ing_form(phrase) for phrase in words] if seen else words
        text = str(rng.choice(("{} and {}", "{}, {}", "{} while {}"))).format(*words) if words[1:] else words[0]
        if rng.random() < 0.3:
            named = str(rng.choice(list(_ASKED_MOODS)))
            mood, text = MOODS.index(named), f"{text} {rng.choice(_ASKED_MOODS[named].split('|'))}"
        text = _scatter(str(rng.choice((_SEEN if seen else _ASKED).split("|"))).format(text), rng)
        # A gesture alone leaves open whether they speak meanwhile.
        said = DOINGS.index(doing) if doing else UNSAID
        prompts.append(LabelledPrompt(text, said, GESTURES.index(gesture), mood))
    return prompts


def _ing_form(phrase: str) -> str:
    """ "wave your hand" -> "waving your hand"."""
    verb, _, rest = phrase.partition(" ")
    if verb in _DOUBLED:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith(("ee", "be")):
        verb = verb[:-1]
    return f"{verb}ing {rest}".strip()


def _scatter(text: str, rng: np.random.Generator) -> str:
    """Put up to three words of an unrelated sentence anywhere: most words of a real wish are not about the action."""
    words = text.split(" ")
    for word in rng.choice(make_sentence(rng).split(" "), int(rng.integers(0, 4))):
        words.insert(int(rng.integers(0, len(words) + 1)), str(word))
    return " ".join(words)


def encode_prompts(prompts: list[LabelledPrompt], config: TextConfig) -> dict[str, Tensor]:
    """Bucket ids [N, words, grams] and the labels [N] doing, gesture, mood."""
    labels = {name: torch.tensor([getattr(p, name) for p in prompts]) for name in ("doing", "gesture", "mood")}
    return {"ids": tokenize([p.text for p in prompts], config).ids, **labels}


def prompt_batches(prompts: dict[str, Tensor], rows: int = 64, word_dropout: float = 0.1) -> MakeBatches:
    """Open an endless stream of random batches; a share of the words is left out, so that no word decides alone."""

    def open_stream(place: Place) -> Iterator[Batch]:
        step = place.step
        while True:
            rng = np.random.default_rng((place.seed, place.rank, step))
            chosen = torch.from_numpy(rng.integers(0, len(prompts["ids"]), rows))
            batch: Batch = {name: values[chosen] for name, values in prompts.items()}
            kept = torch.from_numpy(rng.random(batch["ids"].shape[:2]) >= word_dropout)
            words, grams = (int((batch["ids"] > 0).any(0).any(1 - k).sum()) for k in (0, 1))
            batch["ids"] = (batch["ids"] * kept[..., None])[:, :words, :grams]
            yield batch
            step += 1

    return open_stream


def _doing(segment: Segment, reaction: str) -> str:
    return {"react": reaction, "gesture": "silent"}.get(segment.state, segment.state)
