import pytest
import torch

from flowact.core import device
from flowact.core.device import choose_precision


@pytest.mark.parametrize(
    ("abilities", "is_faster", "expected"),
    [
        ({"amx_bf16": True}, False, torch.bfloat16),
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({"avx512_bf16": True}, False, torch.float32),
        ({"avx2": True}, True, torch.float32),
    ],
)
def test_bfloat16_only_where_the_processor_has_it_and_gains_by_it(monkeypatch, abilities, is_faster, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    monkeypatch.setattr(device, "_bfloat16_is_faster", lambda: is_faster)
    assert choose_precision(torch.device("cpu")) == expected


def test_other_devices_take_float32():
    assert choose_precision(torch.device("mps")) == torch.float32
