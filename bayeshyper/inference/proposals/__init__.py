"""Importance sampling of the noise z behind a weight vector, from what the weights alone tell of it."""

from __future__ import annotations

import torch

from bayeshyper.inference.channels import Channel

from .adaptive import AdaptiveProposal
from .proposal import Proposal

__all__ = ["AdaptiveProposal", "Proposal", "proposal_for"]


def proposal_for(channel: Channel, generator: torch.Generator) -> Proposal:
    """The proposal that suits a channel: adapted where scales tell of z too, else straightened."""
    kind = AdaptiveProposal if channel.is_crooked else Proposal
    return kind(channel, generator)
