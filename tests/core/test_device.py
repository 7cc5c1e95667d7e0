import pytest
import torch

from flowact.core.device import choose_precision


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [({"amx_bf16": True}, torch.bfloat16), ({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_bfloat16_only_where_the_processor_has_it(monkeypatch, abilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert choose_precision(torch.device("cpu")) == expected


def test_other_devices_take_float32():
    assert choose_precision(torch.device("mps")) == torch.float32
