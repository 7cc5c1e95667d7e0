import pytest
import torch
from torch import nn

from flowact.train.ema import Ema, averaged


def make():
    net = nn.BatchNorm1d(1)
    nn.init.constant_(net.weight, 0.0)
    return net


def test_average_follows_the_formula():
    net = make()
    ema = Ema(net, 0.25)
    expected = 0.0
    for number in range(5):
        nn.init.constant_(net.weight, float(number + 1))
        ema.update()
        decay = min(0.25, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * (number + 1)
    assert ema.shadow["weight"].item() == pytest.approx(expected)


def test_swap_is_undone_to_the_bit_even_after_an_error():
    net = make()
    ema = Ema(net, 0.9)
    nn.init.constant_(net.weight, 0.1234567)
    net.train()

    def look():
        with averaged([net], {"net": ema}):
            assert not net.training
            assert net.weight.item() == 0.0
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert net.training
    assert torch.equal(net.weight.detach(), torch.tensor([0.1234567]))


def test_copy_takes_buffers_too_and_state_round_trip():
    net, other = make(), make()
    ema = Ema(net, 0.9)
    nn.init.constant_(net.weight, 3.0)
    net.running_mean.fill_(5.0)
    ema.update()
    ema.copy_to(other)
    assert other.running_mean.item() == 5.0
    assert other.weight.item() == ema.shadow["weight"].item() != 0.0
    restored = Ema(make(), 0.9)
    restored.load_state_dict(ema.state_dict())
    assert restored.updates == 1
    assert torch.equal(restored.shadow["weight"], ema.shadow["weight"])
