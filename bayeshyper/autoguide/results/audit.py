"""The audit of a fitted guide: its ELBO between two bounds."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.autoguide.checks import check_count
from bayeshyper.autoguide.model.joint import LogJoint
from bayeshyper.autoguide.posterior.latent import LatentPosterior
from bayeshyper.diagnostics.posterior.audit import Audit, Estimates, mean_and_error, pooled
from bayeshyper.diagnostics.posterior.psis import psis_of
from bayeshyper.inference.entropies import LinearizedEntropy
from bayeshyper.inference.entropies.estimator import conditional_log_density, noise_entropy
from bayeshyper.memory import check_draws

from .density import LatentDensity

__all__ = ["audit"]


@torch.no_grad()
def audit(posterior: LatentPosterior, log_joint: LogJoint, *, draws: int, inner: int, seed: int) -> Audit:
    """See `AutoHypernetwork.audit`."""
    check_count("draws", draws, 2)  # of one there is no standard error
    check_draws(draws, posterior.size, instead="ask for fewer")
    density = LatentDensity(posterior, torch.Generator().manual_seed(seed))
    audited = [_audit_member(density, index, log_joint, draws, inner) for index in range(posterior.members)]
    weights = psis_of([ratios for _, ratios in audited], density.source)
    return pooled([estimates for estimates, _ in audited], psis=weights)


def _audit_member(
    density: LatentDensity, index: int, log_joint: LogJoint, draws: int, inner: int
) -> tuple[Estimates, Tensor]:
    """The estimates of one member, and its log importance weights ``(draws,)``.

    At each draw u, log p(u, data) − log q̂(u) is an estimate of the ELBO that varies little where q is nearly
    the posterior. From the entropy's, what ε did to the draw is taken out: with i = log q(u | z) − log q(u),

        H[q] = E[H[q(u | z)] + i]
    """
    member = density.members[index]
    latents, draw = density.draw(index, draws)
    below, above = density.bounds(index, latents, inner, draw.z[0])
    joint = log_joint.at_draws(latents).cpu()
    given = conditional_log_density(member, draw)[0] - density.log_volume[index]
    noise = noise_entropy(member, draw)[0] + density.log_volume[index]
    tangent = LinearizedEntropy(member)(member, draw)[0] + density.log_volume[index]
    entropies = {"lower": noise + given - above, "upper": noise + given - below, "linearized": tangent}
    estimates = {}
    for name, entropy in entropies.items():
        estimates[f"entropy_{name}"] = mean_and_error(entropy)
        estimates[f"elbo_{name}"] = mean_and_error(joint - given + entropy - noise)
    return estimates, joint - above
