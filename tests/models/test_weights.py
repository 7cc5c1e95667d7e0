import json
from dataclasses import dataclass, field, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from flowact.core.errors import CheckpointError, ConfigError
from flowact.models.weights import config_from_json, config_to_json, load_model, save_model


@dataclass(frozen=True)
class Inner:
    widths: tuple[int, ...] = (4, 8)
    pair: tuple[int, float] = (1, 2.0)


@dataclass(frozen=True)
class NetConfig:
    inner: Inner = Inner()
    rate: float = 1.0
    name: str | None = None
    stack: tuple[Inner, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    biased: bool = True


class Net(nn.Module):
    def __init__(self, config: NetConfig):
        super().__init__()
        first, last = config.inner.widths
        self.linear = nn.Linear(first, last, bias=config.biased)
        self.tied = nn.Linear(first, last, bias=False)
        self.tied.weight = self.linear.weight
        self.register_buffer("count", torch.tensor(3))


class Other(nn.Module):
    def __init__(self, config: NetConfig):
        super().__init__()


CONFIG = NetConfig(Inner((3, 5), (7, 0.5)), 2.0, "x", (Inner(), Inner((1,))), {"a": 1})


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    net = Net(CONFIG)
    save_model(net, CONFIG, tmp_path)
    return net, tmp_path


def test_round_trip(saved):
    net, folder = saved
    loaded = load_model(Net, folder)
    assert not loaded.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_half_precision_file(saved):
    net, folder = saved
    save_model(net, CONFIG, folder, torch.float16)
    tensors = load_file(folder / "model.safetensors")
    assert (tensors["linear.weight"].dtype, tensors["count"].dtype) == (torch.float16, torch.int64)
    loaded = load_model(Net, folder)
    assert loaded.linear.weight.dtype == torch.float32
    assert torch.allclose(loaded.linear.weight, net.linear.weight, atol=1e-3)
    assert load_model(Net, folder, dtype=torch.bfloat16).linear.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("config", [NetConfig(), CONFIG])
def test_config_round_trip(config):
    text = json.dumps(config_to_json(config))
    assert config_from_json(NetConfig, json.loads(text)) == config


def test_config_that_json_cannot_hold():
    with pytest.raises(ConfigError, match="cannot write"):
        config_to_json(replace(CONFIG, table={"a": torch.ones(1)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": "fast"}, "NetConfig.rate"),
        ({"biased": 1}, "NetConfig.biased"),
        ({"unheard": 1}, "expected the fields"),
        ({"inner": {"pair": [1]}}, "NetConfig.inner: Inner.pair"),
    ],
)
def test_config_of_another_version(saved, change, message):
    path = saved[1] / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "config": change}))
    with pytest.raises(CheckpointError, match=message):
        load_model(Net, saved[1])


def test_missing_files(saved):
    (saved[1] / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot read"):
        load_model(Net, saved[1])
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_model(Net, saved[1] / "nowhere")


def test_cut_and_pointer_files(saved):
    path = saved[1] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        load_model(Net, saved[1])
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        load_model(Net, saved[1])


def test_foreign_weights(saved):
    folder = saved[1]
    path = folder / "model.safetensors"
    tensors = load_file(path)
    with pytest.raises(CheckpointError, match="Other"):
        load_model(Other, folder)
    save_file({**tensors, "linear.weight": torch.ones(2, 2)}, path)
    with pytest.raises(CheckpointError, match=r"'linear\.weight', \(2, 2\), \(5, 3\)"):
        load_model(Net, folder)
    save_file({"linear.weigth": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match=r"missing .*unknown \['linear\.weigth'\]"):
        load_model(Net, folder)


def test_numbers_that_are_not_finite(saved):
    net, folder = saved
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["linear.bias"][1] = float("nan")
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"not finite.*linear\.bias"):
        load_model(Net, folder)
    with torch.no_grad():
        net.linear.weight[0, 0] = 1e6
    with pytest.raises(CheckpointError, match="not finite"):
        save_model(net, CONFIG, folder, torch.float16)
