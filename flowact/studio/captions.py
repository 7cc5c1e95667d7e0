"""Plain English for what is seen: every segment gets one caption at each of three levels of detail."""

from __future__ import annotations

import numpy as np

from flowact.studio.performance import Caption, Segment
from flowact.studio.tracks import Event

_SUBJECTS = ("a person", "someone", "the person", "the speaker", "a figure")
_QUIET_SUBJECTS = ("a person", "someone", "the person", "a figure")

# Verb phrases as (third person, -ing form) pairs, "third|ing".
_STATE: dict[str, str] = {
    "talk": "talks|talking; speaks|speaking; is speaking|speaking to the camera; talks to the camera|talking to the"
    " camera; explains something|explaining something; chats|chatting; says something|saying something"
    "; is having a conversation|having a conversation; tells a story|telling a story",
    "listen": "listens|listening; listens attentively|listening attentively; pays attention|paying attention"
    "; listens quietly|listening quietly; follows the conversation|following the conversation"
    "; hears the other person out|hearing the other person out",
    "think": "thinks|thinking; ponders|pondering; thinks for a moment|thinking for a moment; looks thoughtful|looking"
    " thoughtful; considers an answer|considering an answer; searches for words|searching for words"
    "; reflects|reflecting",
    "surprise": "looks surprised|looking surprised; reacts with surprise|reacting with surprise; is amazed|being amazed"
    "; is taken aback|being taken aback",
    "laugh": "laughs|laughing; bursts out laughing|bursting out laughing; has a laugh|having a laugh"
    "; laughs heartily|laughing heartily",
    "smile": "smiles|smiling; smiles broadly|smiling broadly; reacts with a smile|reacting with a smile"
    "; breaks into a smile|breaking into a smile; smiles warmly|smiling warmly",
    "idle": "waits|waiting; stays still|staying still; sits idle|sitting idle; rests|resting"
    "; waits calmly|waiting calmly; does nothing in particular|doing nothing in particular",
}
_GESTURE: dict[str, str] = {
    "wave": "waves|waving; waves at the camera|waving at the camera; waves a hand|waving a hand"
    "; waves hello|waving hello; greets with a wave|greeting with a wave",
    "nod": "nods|nodding; nods the head|nodding the head; nods in agreement|nodding in agreement; nods yes|nodding yes",
    "shake": "shakes their head|shaking their head; shakes the head|shaking the head; shakes their head no"
    "|shaking their head no; disagrees with a shake of the head|disagreeing with a shake of the head",
    "point": "points|pointing; points a finger|pointing a finger; points with a finger|pointing with a finger",
    "shrug": "shrugs|shrugging; shrugs their shoulders|shrugging their shoulders; gives a shrug|giving a shrug"
    "; shrugs with open hands|shrugging with open hands",
    "hand_to_chin": "puts a hand to the chin|putting a hand to the chin; rests their chin on a hand"
    "|resting their chin on a hand; touches their chin|touching their chin"
    "; brings a hand to the chin|bringing a hand to the chin",
    "open_palms": "opens both palms|opening both palms; shows open palms|showing open palms; opens their hands|opening"
    " their hands; holds out open palms|holding out open palms",
    "beat": "gestures with the hands|gesturing with the hands; makes beat gestures|making beat gestures; emphasises"
    " with hand beats|emphasising with hand beats; beats time with a hand|beating time with a hand",
    "clap": "claps|clapping; claps both hands|clapping both hands; applauds|applauding; claps their hands"
    "|clapping their hands",
    "thumbs_up": "gives a thumbs-up|giving a thumbs-up; shows a thumbs up|showing a thumbs up; puts a thumb up"
    "|putting a thumb up; makes a thumbs-up sign|making a thumbs-up sign",
}
_ONE_HANDED = ("wave", "point", "hand_to_chin", "thumbs_up")
_MANNER = {
    "happy": ("cheerfully", "with a happy face", "in a good mood", "with a light smile"),
    "serious": ("seriously", "with a serious face", "with a stern look", "earnestly"),
    "neutral": ("calmly", "in a relaxed way", "with a neutral face", "quietly"),
    "sad": ("sadly", "with a sad face", "in low spirits", "a little downcast"),
}
_SETTING = {
    "talk": ("looking at the camera", "facing the viewer", "the lips moving with the words", "the mouth moving"),
    "listen": ("with eyes on the speaker", "with the mouth closed", "looking at the camera", "with small nods"),
    "think": ("with the eyes turned away", "with pressed lips", "looking aside", "with the mouth closed"),
    "react": ("facing the viewer", "all of a sudden", "looking at the camera"),
    "idle": ("with the mouth closed", "breathing softly", "looking at the camera", "blinking now and then"),
    "gesture": ("with the mouth closed", "without a word", "looking at the camera", "silently"),
}
_OPENINGS = {
    "talk": (
        "The mouth opens and closes as they speak",
        "The lips move with every word",
        "They speak and the jaw moves",
    ),
    "listen": ("The mouth stays closed while they listen", "They listen with closed lips", "They watch and listen"),
    "think": ("They think, lips closed", "They pause in thought", "Thoughtful, they say nothing"),
    "react": ("They react without words", "A reaction comes over the face", "Their face changes"),
    "idle": ("They wait with a resting face", "Almost nothing moves but breath and lids", "They rest, lips closed"),
    "gesture": ("They say nothing, the lips closed", "Without speaking they move", "In silence they make a gesture"),
}


def write_captions(
    segments: tuple[Segment, ...],
    hands: tuple[str, ...],
    events: list[Event],
    rng: np.random.Generator,
    mood: str,
    reaction: str,
) -> tuple[Caption, ...]:
    """Return captions of detail 0, 1 and 2 for every segment; together those of one level cover the clip.

    Args:
        segments: what happens when.
        hands: "left" or "right" for each segment: with which hand its gesture is made, if it is made with one.
        events: details told by the composers, in any order.
        rng: source of chance for the wording.
        mood: happy, serious, neutral or sad.
        reaction: what the "react" state shows: surprise, smile or laugh.
    """
    captions: list[Caption] = []
    for segment, hand in zip(segments, hands, strict=True):
        told = sorted(
            (event for event in events if segment.start_s - 0.1 <= event.time_s < segment.end_s - 0.1),
            key=lambda event: event.time_s,
        )
        actions = _actions(segment, hand, reaction, rng)
        for detail, text in enumerate(
            (_few(actions, rng), _one(segment, actions, mood, rng), _dense(segment, told, mood, rng))
        ):
            captions.append(Caption(segment.start_s, segment.end_s, text, detail))
    return tuple(captions)


def _actions(segment: Segment, hand: str, reaction: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Verb phrases, state first; the gesture state is named by its gesture alone."""
    phrases = []
    if segment.state != "gesture":
        phrases.append(_pick(_STATE[reaction if segment.state == "react" else segment.state], rng))
    if segment.gesture != "none":
        phrases.append(_pick(_GESTURE[segment.gesture], rng))
    pairs = [phrase.strip().partition("|") for phrase in phrases]
    actions = [(third, ing) for third, _, ing in pairs]
    # The right hand is the rule. An unnamed left one would leave two answers to one prompt, and their mean is no hand.
    if segment.gesture in _ONE_HANDED and (hand == "left" or rng.random() < 0.2):
        third, ing = actions[-1]
        actions[-1] = (f"{third} with the {hand} hand", f"{ing} with the {hand} hand")
    return actions


def _pick(options: str, rng: np.random.Generator) -> str:
    return str(rng.choice(options.split(";")))


def _few(actions: list[tuple[str, str]], rng: np.random.Generator) -> str:
    style = rng.random()
    if style < 0.4:
        return " and ".join(ing for _, ing in actions)
    if style < 0.55 and len(actions) > 1:
        return f"{actions[0][1]} while {actions[1][1]}"
    return f"{rng.choice(_QUIET_SUBJECTS)} {' and '.join(third for third, _ in actions)}"


def _one(segment: Segment, actions: list[tuple[str, str]], mood: str, rng: np.random.Generator) -> str:
    subject = str(rng.choice(_SUBJECTS if segment.state == "talk" else _QUIET_SUBJECTS)).capitalize()
    manner = str(rng.choice(_MANNER[mood])) if mood != "neutral" or rng.random() < 0.5 else ""
    setting = str(rng.choice(_SETTING[segment.state])) if rng.random() < 0.7 else ""
    body = f"{subject} {actions[0][0]}{' ' + manner if manner else ''}"
    if len(actions) > 1:
        joint = f" while {actions[1][1]}" if rng.random() < 0.5 else f" and {actions[1][0]}"
        body = f"{subject} {actions[0][0]}{joint}{', ' + manner if manner else ''}"
    return f"{body}{', ' + setting if setting else ''}."


def _dense(segment: Segment, told: list[Event], mood: str, rng: np.random.Generator) -> str:
    """A script of the segment: up to five events in order, some with their time."""
    clauses = [str(rng.choice(_OPENINGS[segment.state]))]
    if mood != "neutral":
        clauses[0] += f", {rng.choice(_MANNER[mood])}"
    first_of_each = {event.text: event for event in reversed(told)}
    told = sorted(first_of_each.values(), key=lambda event: event.time_s)
    if len(told) > 5:
        keep = sorted(rng.choice(len(told), 5, replace=False))
        told = [event for k, event in enumerate(told) if k in keep or _names_gesture(event)]
    for event in told:
        link = str(rng.choice(("", "then ", "next ", "and then ")))
        when = f" at {event.time_s:.1f} s" if rng.random() < 0.4 and event.time_s > 0 else ""
        clauses.append(f"{link}{event.text}{when}")
    return ", ".join(clauses) + "."


def _names_gesture(event: Event) -> bool:
    return any(word in event.text for word in ("hand", "finger", "palms", "nods", "shakes", "shrug"))
