import pytest

from flowact.core.errors import ConfigError
from flowact.serve.voices.asr import choose_transcriber
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.llm import choose_chat
from flowact.serve.voices.planner_llm import choose_planner
from flowact.serve.voices.tts import choose_speaker
from flowact.stream.planner import RulePlanner

URL = "http://127.0.0.1:1/v1"


def test_nothing_set_needs_nothing():
    config = VoicesConfig.from_environment({})
    assert config == VoicesConfig()
    assert choose_chat(config) is None
    assert choose_transcriber(config) is None
    assert choose_planner(config, RulePlanner()) is None


def test_the_environment_fills_the_fields():
    config = VoicesConfig.from_environment(
        {
            "FLOWACT_LLM_URL": URL,
            "FLOWACT_LLM_MODEL": "small",
            "FLOWACT_LLM_KEY": "secret",
            "FLOWACT_LLM_TIMEOUT_S": "2.5",
            "FLOWACT_PLANNER_SEES": "yes",
            "FLOWACT_TTS": " none ",
            "UNRELATED": "1",
        }
    )
    assert (config.llm_url, config.llm_model, config.llm_timeout_s) == (URL, "small", 2.5)
    assert config.planner_sees
    assert choose_speaker(config) is None
    assert choose_chat(config) is not None
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FLOWACT_LLM_URL": "localhost:80", "FLOWACT_LLM_MODEL": "x"}, "http://"),
        ({"FLOWACT_LLM_URL": URL}, "FLOWACT_LLM_MODEL"),
        ({"FLOWACT_TTS_URL": URL}, "FLOWACT_TTS_MODEL"),
        ({"FLOWACT_LLM_TIMEOUT_S": "soon"}, "seconds"),
        ({"FLOWACT_LLM_TIMEOUT_S": "nan"}, "above 0"),
        ({"FLOWACT_PLANNER_DEADLINE_S": "-1"}, "above 0"),
        ({"FLOWACT_PLANNER_HEARS": "maybe"}, "1 or 0"),
        ({"FLOWACT_ASR_URL": URL, "FLOWACT_ASR_FOLDER": "/x"}, "one of them"),
    ],
)
def test_what_cannot_be_used_is_named(environment, message):
    with pytest.raises(ConfigError, match=message):
        VoicesConfig.from_environment(environment)
