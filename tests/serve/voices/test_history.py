import pytest

from flowact.serve.voices.history import History, SpokenText


@pytest.fixture
def spoken():
    text = SpokenText()
    text.add("One two three four.", 2.0)
    text.add("", 2.0)
    text.add("Five six.", 1.0)
    return text


@pytest.mark.parametrize(
    ("played_s", "heard"),
    [
        (0.0, ""),
        (0.5, ""),
        (2.0, "One two ..."),
        (3.97, "One two three four."),
        (4.5, "One two three four. Five ..."),
        (5.0, "One two three four. Five six."),
        (9.0, "One two three four. Five six."),
    ],
)
def test_only_what_was_played_was_heard(spoken, played_s, heard):
    assert spoken.until(played_s) == heard


def test_sentences_begin_when_their_sound_does():
    spoken = SpokenText()
    spoken.add("One.", 0.5)
    spoken.add("", 0.5)
    spoken.add("Two.", 0.04)
    spoken.add("Three.", 1.0)
    assert [spoken.begun(s) for s in (0.0, 0.04, 0.96, 1.0, 1.04, 1.08, 9.0)] == [0, 1, 1, 1, 2, 3, 3]
    spoken.add("Four.", 1.0)
    assert spoken.begun(9.0) == 4


def test_turns_of_one_side_are_joined_and_old_ones_forgotten():
    history = History(most_turns=3)
    history.add_avatar("Welcome.")
    history.add_user("Hi.")
    history.add_user("Are you there?")
    history.add_avatar("")
    history.add_avatar("Yes.")
    assert history.messages() == [
        {"role": "user", "content": "Hi.\nAre you there?"},
        {"role": "assistant", "content": "Yes."},
    ]
    history.add_user("Good.")
    history.add_avatar("Fine.")
    assert [turn["content"] for turn in history.messages()] == ["Good.", "Fine."]


def test_messages_are_copies():
    history = History()
    history.add_user("Hi.")
    history.messages()[0]["content"] = "changed"
    assert history.messages()[0]["content"] == "Hi."
