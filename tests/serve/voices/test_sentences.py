import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowact.serve.voices.sentences import SentenceSplitter, speakable, split_text

LONG = "Well, I have been thinking about this for a long while now, and the answer is not simple at all, " * 2


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Dr. Smith paid 3.50 for it. Fine!", ["Dr. Smith paid 3.50 for it.", "Fine!"]),
        ("1. Take an egg. 2. Break it.", ["1. Take an egg.", "2. Break it."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("One line\nanother line", ["One line", "another line"]),
        ("你好。你是谁？", ["你好。", "你是谁？"]),
        ("Wait... what?!", ["Wait...", "what?!"]),
        ("   ", []),
        ("", []),
    ],
)
def test_sentences(text, pieces):
    assert split_text(text) == pieces


def test_a_long_text_begins_with_a_clause():
    pieces = split_text(LONG)
    assert pieces[0] == "Well, I have been thinking about this for a long while now,"
    assert "".join(pieces).replace(" ", "") == LONG.replace(" ", "")


def test_a_text_without_any_mark_is_cut_between_words():
    pieces = split_text("word " * 200)
    assert max(map(len, pieces)) <= 220
    assert " ".join(pieces).split() == ["word"] * 200


@given(
    st.lists(
        st.sampled_from(
            ["Hi", "Dr.", "3.5", ". ", "! ", "?", "\n", ", ", " - ", "word ", "a" * 60, "。", "“", '"', " "]
        )
    ),
    st.data(),
)
def test_pieces_do_not_depend_on_how_the_text_arrives(words, data):
    text = "".join(words)
    at_once, bit_by_bit = SentenceSplitter(), SentenceSplitter()
    whole = at_once.feed(text) + at_once.flush()
    pieces, start = [], 0
    while start < len(text):
        end = start + data.draw(st.integers(1, 40))
        pieces += bit_by_bit.feed(text[start:end])
        start = end
    assert pieces + bit_by_bit.flush() == whole
    assert "".join("".join(whole).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("**Yes**, _really_ 😀!", "Yes, really!"),
        ("See [the page](http://x.y).", "See the page."),
        ("...", ""),
        ("🎉🎉", ""),
        ("Grüße", "Grüße"),
    ],
)
def test_speakable(text, spoken):
    assert speakable(text) == spoken


def test_marks_without_spaces_end_a_sentence_together_however_they_arrive():
    splitter = SentenceSplitter()
    assert [splitter.feed(part) for part in ("好。", "。", "是")] == [[], [], ["好。。"]]
    assert splitter.flush() == ["是"]
