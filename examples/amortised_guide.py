"""A posterior for each image, of images that were never fitted: the amortised form of the guide.

`AutoHypernetwork(model, context=…)` is conditioned on features of data: here of an image, and of which half
of it is seen. It is trained on some images; of any other image it then has the posterior at once. The model
is probabilistic PCA, whose decoder is learned beside the guide, so that all it says can be checked: given the
decoder, evidence and posterior of an image are known exactly, and scikit-learn's PCA knows the best decoder.
"""

import pyro
import torch
from pyro.distributions import MultivariateNormal, Normal
from pyro.infer import Trace_ELBO
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from bayeshyper import AutoHypernetwork

torch.manual_seed(0)
LATENTS, BATCH, STEPS = 5, 50, 400
images = torch.tensor(load_digits().data, dtype=torch.float32)[torch.randperm(1797)] / 4 - 2
train, test = images[:1500], images[1500:]
average = train.mean(0)
UPPER, WHOLE = torch.arange(64) < 32, torch.ones(64, dtype=torch.bool)

decoder = torch.nn.Linear(LATENTS, 64)
decoder.bias.data.copy_(average)
log_noise = torch.nn.Parameter(torch.zeros(()))


def model(image, seen):
    """Images of a batch, of 1,500; pixels that are not seen say nothing."""
    with pyro.plate("images", len(train), subsample_size=len(image)):
        z = pyro.sample("z", Normal(torch.zeros(LATENTS), 1.0).to_event(1))
        pixels = Normal(decoder(z), log_noise.exp()).mask(seen).to_event(1)
        pyro.sample("image", pixels, obs=image)


def features(image, seen):
    """What the guide is told of each image: ``(images, features)`` for one posterior each."""
    return torch.cat([(image - average) * seen, seen.float()], dim=-1)


def batch():
    """Some images, of half of which only the upper half is seen."""
    return train[torch.randint(len(train), (BATCH,))], UPPER | (torch.rand(BATCH, 1) < 0.5)


guide = AutoHypernetwork(model, context=features, noise_dim=2, hidden=(32,), example_args=batch())
elbo = Trace_ELBO()
optimizer = torch.optim.Adam([*guide.parameters(), *decoder.parameters(), log_noise], lr=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=STEPS)
for _ in range(STEPS):
    optimizer.zero_grad()
    elbo.differentiable_loss(model, guide, *batch()).backward()
    optimizer.step()
    schedule.step()
guide.requires_grad_(False)
W, b, noise = decoder.weight.detach(), decoder.bias.detach(), log_noise.detach().exp()


def exact(image, seen):
    """Evidence log p(image), and each latent's posterior mean and standard deviation, of this decoder."""
    W_, offset = W[seen], image[:, seen] - b[seen]
    evidence = MultivariateNormal(b[seen], W_ @ W_.T + noise**2 * torch.eye(len(W_))).log_prob(image[:, seen])
    covariance = torch.linalg.inv(torch.eye(LATENTS) + W_.T @ W_ / noise**2)
    return evidence.mean(), offset @ W_ @ covariance / noise**2, covariance.diagonal().sqrt()


many = Trace_ELBO(20, vectorize_particles=True, max_plate_nesting=1)
print(f"{len(test)} images that were never fitted, in nats per image")
print("seen         log evidence    ELBO   gap  means off by  spreads")
for name, seen in (("whole", WHOLE), ("upper half", UPPER)):
    data = test, seen.expand(len(test), 64)
    evidence, mean, sd = exact(test, seen)
    bound = -many.loss(model, guide, *data) / len(train)
    z = guide.sample_posterior(500, *data)["z"]  # (draws, images, latents)
    off = ((z.mean(0) - mean) / sd).abs().mean()
    print(
        f"{name:<12} {evidence:12.1f} {bound:7.1f} {evidence - bound:5.2f}"
        f"       {off:.2f} sd   × {(z.std(0) / sd).mean():.2f}"
    )
best = PCA(LATENTS).fit(train.numpy()).score(test.numpy())
print(f"PCA's decoder, the best of all, has {best:.1f}.")

print("\nOne digit, by its upper half:  exact          guide")
draws = guide.sample_posterior(2000, test[:1], UPPER.expand(1, 64))["z"][:, 0]
_, mean, sd = exact(test[:1], UPPER)
for latent in range(LATENTS):
    ours = draws[:, latent]
    print(f"  latent {latent}                {mean[0, latent]:+.2f} ± {sd[latent]:.2f}", end="   ")
    print(f"{ours.mean():+.2f} ± {ours.std():.2f}")
