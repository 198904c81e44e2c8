from __future__ import annotations

import pytest
import torch

from gfla.build import build_critic
from gfla.config import CriticConfig
from gfla.errors import GflaError
from gfla.published.critics import (
    critic_from_published,
    critic_to_published,
    infer_critic_config,
)

NARROW = CriticConfig(inputs=3, widths=(4, 6, 8))


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return build_critic(NARROW)


def test_export_and_import_of_published_names_is_the_identity(critic):
    published = critic_to_published(critic)
    assert infer_critic_config(published) == NARROW
    prefixed = {f"module.{name}": tensor for name, tensor in published.items()}
    again = critic_to_published(critic_from_published(prefixed))
    assert again.keys() == published.keys()
    assert all(torch.equal(again[name], published[name]) for name in published)


@pytest.mark.parametrize("name", ["conv.weight_u", "encoder0.shortcut.1.bias"])
def test_what_an_import_lacks_is_named(critic, name):
    published = critic_to_published(critic)
    tensor = published.pop(name)
    with pytest.raises(GflaError, match=f"missing: {name}") as caught:
        critic_from_published(published)
    assert caught.value.code == "bad_checkpoint"
    with pytest.raises(GflaError, match="left over: colour"):
        critic_from_published(published | {name: tensor, "colour": tensor})
    with pytest.raises(GflaError, match=r"shape \(99,\)"):
        critic_from_published(published | {name: torch.zeros(99)})
    with pytest.raises(GflaError, match="not finite"):
        critic_from_published(published | {name: torch.full_like(tensor, torch.nan)})


def test_a_generator_is_no_critic():
    with pytest.raises(GflaError, match=r"block0\.model\.1\.weight_orig is missing"):
        critic_from_published({"flow_net.block0.model.2.weight": torch.zeros(4, 3, 4, 4)})
