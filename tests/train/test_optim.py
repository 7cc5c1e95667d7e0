import pytest
import torch
from torch import nn

from flowact.core.errors import CheckpointError, ConfigError
from flowact.train.optim import (
    Muon,
    OptimSettings,
    build_optimiser,
    constant,
    orthogonalise,
    warmup_cosine,
    warmup_hold_decay,
)


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 16, 16)])
def test_orthogonalise_brings_singular_values_near_one(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    result = orthogonalise(matrices, torch.float32)
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.linalg.svdvals(result)
    assert values.max() < 1.3
    assert values.min() > 0.3
    in_own_axes = u.mT @ result @ vt.mT
    assert torch.allclose(in_own_axes, torch.diag_embed(in_own_axes.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_muon_equals_torch_muon_on_matrices():
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(6, 4))
    theirs = nn.Parameter(ours.detach().clone())
    one = Muon([ours], 0.02, 0.9, 0.1, torch.bfloat16)
    other = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.1)
    for _ in range(5):
        ours.grad = torch.randn(6, 4)
        theirs.grad = ours.grad.clone()
        one.step()
        other.step()
    assert torch.allclose(ours, theirs, atol=2e-3)


def test_convolutions_are_moved_as_flattened_matrices():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3))
    kernel.grad = torch.randn(8, 4, 3, 3)
    Muon([kernel], 1.0, 0.9, 0.0, torch.float32).step()
    assert torch.linalg.svdvals(kernel.detach().flatten(1)).min() > 0.3


def test_who_goes_where():
    net = nn.ModuleDict(
        {
            "words": nn.Embedding(5, 4),
            "first": nn.Linear(4, 8),
            "inner": nn.Linear(8, 8),
            "norm": nn.LayerNorm(8),
            "conv": nn.Conv2d(8, 8, 3),
        }
    )
    net.tokens = nn.Parameter(torch.zeros(3, 8))
    net["norm"].bias.requires_grad_(False)
    built = build_optimiser({"net": net}, OptimSettings(outer=("net.first.*",)))
    names = {id(p): name for name, p in net.named_parameters()}
    muon = {names[id(p)] for p in built.parts["muon"].param_groups[0]["params"]}
    adamw = {names[id(p)] for group in built.parts["adamw"].param_groups for p in group["params"]}
    assert muon == {"inner.weight", "conv.weight"}
    assert adamw == {"words.weight", "first.weight", "first.bias", "inner.bias", "norm.weight", "conv.bias", "tokens"}
    assert "muon" not in build_optimiser({"net": net}, OptimSettings(matrix_lr=None)).parts
    with pytest.raises(ConfigError, match="frist"):
        build_optimiser({"net": net}, OptimSettings(outer=("net.frist.*",)))
    with pytest.raises(ConfigError, match="frozen"):
        build_optimiser({"net": net.requires_grad_(False)}, OptimSettings())


def test_state_round_trip_and_foreign_state():
    def train(steps, state=None):
        torch.manual_seed(0)
        net = nn.Linear(4, 4)
        optimiser = build_optimiser({"net": net}, OptimSettings())
        if state:
            net.load_state_dict(state[0])
            optimiser.load_state_dict(state[1])
        for step in steps:
            torch.manual_seed(step)
            net(torch.randn(3, 4)).square().mean().backward()
            optimiser.step()
            optimiser.zero_grad()
        return net.state_dict(), optimiser.state_dict()

    unbroken, resumed = train(range(6)), train(range(3, 6), train(range(3)))
    assert all(torch.equal(unbroken[0][key], resumed[0][key]) for key in unbroken[0])
    bigger = build_optimiser({"net": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))}, OptimSettings())
    with pytest.raises(CheckpointError, match="muon"):
        bigger.load_state_dict(unbroken[1])


def test_schedules():
    cosine, trapezoid = warmup_cosine(0.1, 0.05), warmup_hold_decay(0.1, 0.4)
    assert cosine(0.05) == pytest.approx(0.5)
    assert cosine(0.1) == 1
    assert cosine(0.55) == pytest.approx(0.525)
    assert cosine(1) == pytest.approx(0.05)
    assert cosine(0) > 0
    assert [trapezoid(p) for p in (0.05, 0.3, 0.8, 1.0)] == pytest.approx([0.5, 1, 0.5, 0])
    assert constant(0.3) == 1


def test_scale_lr_scales_each_base():
    optimiser = build_optimiser({"net": nn.Linear(4, 4)}, OptimSettings(lr=0.1, matrix_lr=0.5))
    optimiser.scale_lr(0.5)
    optimiser.scale_lr(0.2)
    assert optimiser.parts["adamw"].param_groups[0]["lr"] == pytest.approx(0.02)
    assert optimiser.parts["muon"].param_groups[0]["lr"] == pytest.approx(0.1)
