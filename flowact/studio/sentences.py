"""Everyday sentences from a small grammar: thousands of them, so that every speech sound meets every other.

A sentence is held out by a rule on its text alone (`is_heldout`), so training and test sets never share a sentence,
whoever makes them and whenever.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

HELDOUT_ONE_IN = 8

_RULES: dict[str, str] = {
    "sentence": "{greet}, {tell}.|{tell}.|{tell}.|{tell}.|{ask}?|{ask}?|{react} {tell}.|{plan}.|{number}."
    "|{react} {ask}?|{opinion}.|{opinion}, {reason}.|{tell}, {reason}.|{advice}.|{place_talk}."
    "|{if_talk}.|{contrast}.|{story}.",
    "greet": "hello|hi {name}|good morning|good evening, {name}|hey|welcome back|nice to meet you|thank you, {name}",
    "react": "Wow!|Oh, really?|That is wonderful.|No way!|Of course.|Well, yes.|Hmm, maybe.|Right.|I see.|Sure!|Great."
    "|Oh no.|Absolutely.|Fair enough.|Ha, good one.",
    "tell": "{who} {did} {thing} {when}|{who} {did} {thing} with {person}|{person} gave {person} {thing}"
    "|the {noun} by the {spot} is {very} {quality}|my {kin} {likes} {pastime}|we {move} to the {spot} {when}"
    "|{who} {did} the {quality} {noun} near the {spot}|there was a {quality} {noun} behind the {spot}",
    "ask": "did {person} {do} {thing} {when}|would you like to {do} {thing}|where did you {do} the {noun}"
    "|why is the {noun} so {quality}|how many {nouns} should we bring|can you show me the {spot}"
    "|who told you about {pastime}|have you ever tried {pastime}|what do you think about the {noun}"
    "|shall we meet at the {spot} {soon}|do you know what {person} said about {pastime}",
    "plan": "{soon} I will {do} {thing}|{soon} we could {move_inf} to the {spot} and {do} {thing}"
    "|let us {do} the {noun} before {clock}|I am going to {do} {thing} as soon as I can",
    "number": "the number is {digit} {digit} {digit} {digit}|that costs {tens} dollars and {tens} cents"
    "|{person} was born in nineteen {tens}|we need {digit} {nouns} and {digit} {nouns}|it is {clock} now"
    "|about {tens} people came to the {spot}|page {tens} has {digit} pictures of a {noun}",
    "opinion": "I think {pastime} is {very} {quality}|honestly, {pastime} makes me {feel}"
    "|I really love {pastime}|I do not believe the {noun} was {very} {quality}|{pastime} beats {pastime} any day",
    "reason": "because {who} {did} {thing}|so I feel {feel}|but nobody knows why|since it was {quality} {when}"
    "|which made everyone {feel}|although the {noun} looked {quality}",
    "advice": "first you {do} {thing}, and then you wait|never {do} {thing} without asking {person}"
    "|just take a deep breath and enjoy {pastime}|remember to {do} {thing} {soon}|please {do} {thing} for me",
    "place_talk": "from the {spot} you can see the {spot}|turn left at the {spot} and walk past the {spot}"
    "|it takes {tens} minutes from the {spot} to the {spot}|the {spot} opens at {clock}",
    "if_talk": "if it rains {soon}, we will {do} {thing}|if {person} calls, tell them I feel {feel}"
    "|when I was a child, my {kin} {did} {thing}|unless {person} comes, we cannot {do} {thing}",
    "contrast": "{person} likes {pastime}, but {person} prefers {pastime}|not the {quality} {noun}, the {quality} one"
    "|some people enjoy {pastime}, others just {do} {thing}|it looked {quality}, yet it was {very} {quality}",
    "story": "{when} {who} {did} {thing}, and {person} could not stop laughing"
    "|you will not believe it, {who} {did} {thing}|I opened the {noun} and found {thing} inside"
    "|we {move} past the {spot} and heard a {quality} {noun}",
    "who": "I|we|they|you|she|he|{person}|my {kin}|our teacher|the doctor|the whole family|both of us",
    "person": "{name}|{name}|{name}|my {kin}|your {kin}|the neighbour|her boss",
    "name": "Anna|Ben|Chloe|David|Emma|Felix|Grace|Hugo|Iris|Jack|Kate|Leo|Maya|Noah|Olive|Paul|Ruth|Sam|Tom|Vera"
    "|Will|Zoe|Maggie|Bob|Fiona|Joy|Thea|George|Shaun|Uma|Yusuf|Jamal|Mei|Priya|Omar",
    "kin": "mother|father|brother|sister|uncle|aunt|cousin|grandmother|best friend|daughter|youngest son",
    "did": "bought|found|made|saw|fixed|moved|painted|wanted|brought|chose|lost|watched|finished|shared|described"
    "|carried|cooked|threw away|measured|promised|picked up|photographed|remembered|pushed|borrowed",
    "do": "buy|find|make|see|fix|move|paint|bring|choose|watch|finish|share|describe|carry|cook|measure|pick up|show"
    "|build|wash|fold|explain|open|try|borrow|prepare|check",
    "likes": "likes|loves|enjoys|misses|dreams about|talks about|prefers|never mentions|teaches|avoids",
    "thing": "{a_thing}|{a_thing}|the {quality} {noun}|{digit} {quality} {nouns}|some {quality} {nouns}",
    "a_thing": "a cup of coffee|an apple pie|the blue umbrella|a few photographs|the old piano|a pair of shoes"
    "|fresh bread and butter|a bowl of soup|the first chapter|a beautiful song|some oranges|a wooden bridge|a new phone"
    "|the whole pizza|a birthday cake|our favourite film|a long letter|the garden fence|a bottle of juice"
    "|the mystery box|five boxes of chalk|a treasure map|the bus ticket|both vases|a thick jacket|warm gloves",
    "noun": "window|kitchen|picture|bicycle|garden|book|river|machine|voice|winter|orchard|village|yellow boat|mirror"
    "|puzzle|journey|thunder|moon|elephant|camera|shadow|feather|engine|violin|sweater|lamp|shop|wave|cloud|teapot",
    "nouns": "apples|boxes|people|windows|children|books|shoes|bridges|flowers|chairs|mushrooms|pictures|wheels|fish"
    "|volumes|buttons|oranges|feathers|matches|jugs|gifts|months|cakes|ribbons|sheep|houses",
    "quality": "beautiful|strange|cheap|huge|smooth|bright|funny|cold|useful|quiet|broken|perfect|fresh|heavy|curious"
    "|warm|famous|soft|shiny|awful|brave|narrow|purple|noisy|gentle|empty|thick|lovely|wooden|foolish",
    "very": "very|quite|rather|too|so|really|a bit|far too|surprisingly",
    "feel": "happy|proud|tired|nervous|sure|curious|much better|hungry|lucky|confused|calm|excited|sleepy",
    "pastime": "swimming in the sea|playing chess|baking bread|reading before bed|walking the dog|watching the birds"
    "|learning French|fixing old bikes|jazz music|moving house|early mornings|the theatre|board games|strong tea"
    "|growing vegetables|the number three bus|travelling by train|painting faces|yoga|football|working from home"
    "|summer holidays|choosing presents|public speaking",
    "spot": "bridge|station|market|beach|library|old church|school|bakery|park|museum|harbour|coffee shop|hospital"
    "|corner|theatre|lake|office|garden gate|zoo|farm|football pitch|university|square",
    "when": "yesterday|last week|this morning|on Monday|two years ago|before lunch|after the show|in the afternoon"
    "|on the fifth of June|at noon|over the weekend|just now|every Thursday",
    "soon": "tomorrow|next week|later today|this evening|on Friday|in a moment|after work|at the weekend|in August",
    "move": "walked|drove|went|ran|cycled|hurried|wandered|moved|flew|rushed",
    "move_inf": "walk|drive|go|run|cycle|hurry|wander|fly",
    "clock": "half past {hour}|{hour} o'clock|a quarter to {hour}|{hour} thirty|ten past {hour}",
    "hour": "one|two|three|four|five|six|seven|eight|nine|eleven|twelve",
    "digit": "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fourteen",
    "tens": "thirteen|fifteen|twenty two|thirty five|forty eight|fifty|sixty one|seventy four|eighty|ninety nine",
}
_CHOICES = {name: text.split("|") for name, text in _RULES.items()}
_SLOT = re.compile(r"\{(\w+)\}")


def is_heldout(sentence: str) -> bool:
    """Whether this sentence may only be used for testing: one in eight, chosen by a checksum of its text."""
    return zlib.crc32(sentence.encode()) % HELDOUT_ONE_IN == 0


def make_sentence(rng: np.random.Generator, heldout: bool = False) -> str:
    """Return one sentence of 2 to about 20 words, from the training sentences or from the held-out ones."""
    while True:
        text = _expand("{sentence}", rng)
        text = re.sub(r"(^|[.!?] )([a-z])", lambda found: found[1] + found[2].upper(), text)
        text = re.sub(r"\b([Aa]) (?=[aeio]|um|aw)", r"\1n ", text)
        if is_heldout(text) == heldout:
            return text


def _expand(text: str, rng: np.random.Generator) -> str:
    while found := _SLOT.search(text):
        options = _CHOICES[found[1]]
        text = text[: found.start()] + options[rng.integers(len(options))] + text[found.end() :]
    return text
