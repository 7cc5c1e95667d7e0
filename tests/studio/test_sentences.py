import re

import numpy as np

from flowact.studio.sentences import _CHOICES, _SLOT, is_heldout, make_sentence


def test_splits_share_no_sentence_and_are_varied():
    rng = np.random.default_rng(0)
    train = {make_sentence(rng) for _ in range(1500)}
    test = {make_sentence(rng, heldout=True) for _ in range(200)}
    assert not train & test
    assert len(train) > 1350
    assert all(is_heldout(text) for text in test)
    assert not any(is_heldout(text) for text in train)


def test_sentences_read_like_english():
    rng = np.random.default_rng(1)
    for _ in range(300):
        text = make_sentence(rng)
        assert text[0].isupper()
        assert text[-1] in ".?!"
        assert not re.search(r"[{}|]|  |\b[Aa] [aeio]", text), text
        assert len(text.split()) <= 30


def test_every_slot_of_the_grammar_exists():
    used = {name for options in _CHOICES.values() for option in options for name in _SLOT.findall(option)}
    assert used == set(_CHOICES) - {"sentence"}
