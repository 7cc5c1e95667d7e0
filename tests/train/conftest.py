import io

import pytest
import torch
from rich.console import Console


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)
