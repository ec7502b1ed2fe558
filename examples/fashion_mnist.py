r"""Images: posteriors over a ConvNet's weights, beside the network alone and an ensemble of five.

    python examples/fashion_mnist.py ../shared/data/images/fashion-mnist --output results.csv
    python examples/fashion_mnist.py                # no data: a small made-up set, only to see it run

The folder holds Fashion-MNIST as published (gzipped idx files). Where folders `mnist` and `kmnist` stand
beside it, their test images are what no network has seen: a good posterior doubts them.

MAP is a LeNet trained in plain torch, the ensemble five of them from different starts (Lakshminarayanan et
al. 2017), MAP being its first. A posterior is a network or two, trained likewise and then given weight noise
by a hypernetwork. All see the same rows in batches of one size. The result of a full run is kept in
`benchmarks/results/fashion_mnist.md`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from bayeshyper.diagnostics import accuracy, expected_calibration_error, log_score, top_label
from bayeshyper.errors import NotConvergedWarning
from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings
from bayeshyper.inference import (
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    WarmStartSettings,
    fit,
)
from bayeshyper.models import BayesianModel, Categorical, FanInPrior, Target

CLASSES = 10
UNSEEN = {"mnist": "MNIST", "kmnist": "KMNIST"}
SOURCE = "https://github.com/zalandoresearch/fashion-mnist"

EPOCHS, MADE_UP_EPOCHS = 5, 4
BATCH, RATE, GROWN_RATE = 100, 2e-3, 3e-3
ENSEMBLE = 5
TEMPERATURE = 0.1  # the KL's weight: below 1 is a cold posterior (Wenzel et al. 2020)
BUDGET = 0.4  # of the ensemble's training time


class Recipe(NamedTuple):
    """How a posterior spends its budget: on more members, or on training one for longer.

    A modulation head's draws differ enough for one member to do; those of a low-rank head do not.
    """

    members: int
    warm: float  # epochs of a member's mean weights alone, in units of MAP's
    grown: float  # epochs of all of it, which take more than twice as long
    output_noise: float
    options: dict[str, float]


RECIPES = {
    "low-rank": Recipe(members=2, warm=0.6, grown=0.14, output_noise=0.15, options={"rank": 2}),
    "modulation": Recipe(members=1, warm=0.95, grown=0.32, output_noise=0.1, options={"relative": 0.15}),
}


# -- data -------------------------------------------------------------------------------------------------


class Images(NamedTuple):
    """Rows to train on, rows to score, and rows of other kinds by their names; pixels ``(N, 1, 28, 28)``."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    unseen: dict[str, Tensor]


def read_idx(path: Path) -> Tensor:
    """A gzipped idx file: four bytes, the last of them the number of dimensions; their sizes; the data."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy())


def write_idx(path: Path, array: Tensor) -> None:
    header = bytes([0, 0, 8, array.dim()]) + np.array(array.shape, ">i4").tobytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(header + array.to(torch.uint8).numpy().tobytes()))


def read_images(folder: Path, rows: int | None) -> Images:
    """Everything, in standard units of the training pixels.

    Raises:
        SystemExit: There is no Fashion-MNIST in the folder.
    """
    parts = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    paths = [folder / f"{part}-ubyte.gz" for part in parts]
    if missing := [path.name for path in paths if not path.exists()]:
        sys.exit(
            f"There is no {missing[0]} in {folder}: download the four files of {SOURCE} into that folder."
        )
    x, y, x_test, y_test = map(read_idx, paths)
    x, y = x[:rows], y[:rows]
    unseen = {}
    for name, label in UNSEEN.items():
        if (path := folder.parent / name / "t10k-images-idx3-ubyte.gz").exists():
            unseen[label] = read_idx(path)
        elif (path := folder.parent / name / f"{name}-test-imgs.npz").exists():
            unseen[label] = torch.from_numpy(np.load(path)["arr_0"])
    center, scale = x.float().mean(), x.float().std()

    def pixels(images: Tensor) -> Tensor:
        return ((images.float() - center) / scale).unsqueeze(1)

    others = {name: pixels(images) for name, images in unseen.items()}
    return Images(pixels(x), y.long(), pixels(x_test), y_test.long(), others)


def make_up(folder: Path) -> Path:
    """Noisy copies of ten patterns, written as Fashion-MNIST is; of twenty others as MNIST and KMNIST are."""
    generator = torch.Generator().manual_seed(0)
    patterns = (torch.rand(3 * CLASSES, 4, 4, generator=generator) < 0.3).float()
    patterns = patterns.repeat_interleave(7, dim=1).repeat_interleave(7, dim=2)

    def images(kinds: Tensor) -> Tensor:
        noise = torch.rand(len(kinds), 28, 28, generator=generator)
        return 255 * (0.6 * patterns[kinds] + 0.4 * noise)

    for part, rows in (("train", 1000), ("t10k", 100)):
        kinds = torch.arange(rows) % CLASSES
        write_idx(folder / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz", images(kinds))
        write_idx(folder / "fashion-mnist" / f"{part}-labels-idx1-ubyte.gz", kinds)
        for number, name in enumerate(UNSEEN, start=1):
            others = images(kinds + number * CLASSES)
            write_idx(folder / name / f"{part}-images-idx3-ubyte.gz", others)
    return folder / "fashion-mnist"


# -- methods ----------------------------------------------------------------------------------------------


class LeNet(nn.Sequential):
    """Two convolutions and three Linears (LeCun et al. 1998), with ReLU and max-pooling: 44 426 weights."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)),
        )


def flat(network: nn.Module) -> Tensor:
    """A network's weights in one row, ``(D,)``."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def train(data: Images, epochs: int, seed: int) -> Tensor:
    """MAP in plain torch: Adam with cosine decay, the posteriors' own prior as weight decay; ``(D,)``."""
    torch.manual_seed(seed)
    network = LeNet()
    # FanInPrior's 1/s²: a weight's is half of its fan-in, a bias's 1.
    precisions = [p[0].numel() / 2 if p.dim() > 1 else 1.0 for p in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    steps = epochs * math.ceil(len(data.x) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(data.x)).split(BATCH):
            squares = [r * p.square().sum() for r, p in zip(precisions, network.parameters(), strict=True)]
            penalty = 0.5 * torch.stack(squares).sum() / len(data.x)
            loss = F.cross_entropy(network(data.x[rows]), data.y[rows]) + penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return flat(network)


def posterior(data: Images, epochs: int, head: str, seed: int) -> Hypernetwork:
    """One member: the mean weights trained alone, then with noise around them that a hypernetwork makes."""
    torch.manual_seed(seed)
    network, recipe = LeNet(), RECIPES[head]
    model = BayesianModel(Target(network), FanInPrior(), Categorical(CLASSES), num_data=len(data.x))
    shape = HypernetworkSettings(
        head=head,
        noise_dim=4,
        hidden=(16,),
        gain=0.1,
        output_noise=recipe.output_noise,
        start_share=1.0,
        options=recipe.options,
    )
    hypernetwork = shape.build(flat(network).unsqueeze(0), model.prior.scale, model.spec)
    steps = epochs * math.ceil(len(data.x) / BATCH)
    warm, grown = round(recipe.warm * steps), max(round(recipe.grown * steps), 1)
    settings = SVISettings(
        particles=1,
        batch_size=BATCH,
        warm_start=WarmStartSettings(steps=warm, learning_rate=RATE),
        optimizer=OptimizerSettings(steps=grown, learning_rate=GROWN_RATE, warmup=50, head_rate=1.0),
        kl=KLSettings(temperature=TEMPERATURE, anneal=0.3),
        stopping=StoppingSettings(evaluate_every=grown),
        local_reparameterization=False,
    )
    guide = ImplicitGuide(model, hypernetwork, local=settings.local_reparameterization)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # all are compared after the same epochs
        fit(model, guide, data.x, data.y, settings, seed=seed)
    return hypernetwork


# -- scores -----------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """One method's scores on the test rows, and for telling them from the unseen."""

    method: str
    time: float  # in units of the ensemble's
    accuracy: float
    nll: float
    ece: float
    auroc: dict[str, float]


@torch.no_grad()
def probabilities(weights: Tensor, x: Tensor) -> Tensor:
    """Every network's class probabilities, ``(S, N, C)``, for weights ``(S, D)``."""
    target = Target(LeNet())
    return torch.stack(
        [
            torch.cat([target(one.unsqueeze(0), rows)[0].softmax(-1) for rows in x.split(1000)])
            for one in weights
        ]
    )


def entropy(probs: Tensor) -> Tensor:
    return torch.special.entr(probs.double()).sum(-1)


def doubts(probs: Tensor) -> dict[str, Tensor]:
    """Two scores of doubt for each row ``(N,)``: the mean prediction's entropy, and mutual information."""
    total = entropy(probs.mean(0))
    return {"entropy": total, "MI": total - entropy(probs).mean(0)}


def score(method: str, weights: Tensor, seconds: float, data: Images) -> Result:
    """All scores; ``seconds`` of training still to be divided by the ensemble's."""
    probs = probabilities(weights, data.x_test)
    mean, labels = probs.double().mean(0), data.y_test.numpy()
    mean = (mean / mean.sum(-1, keepdim=True)).numpy()
    known, auroc = doubts(probs), {}
    for name, images in data.unseen.items():
        for kind, doubt in doubts(probabilities(weights, images)).items():
            if kind == "MI" and len(weights) == 1:
                continue  # one network alone has nobody to disagree with
            unseen = np.r_[np.zeros(len(labels)), np.ones(len(images))]
            auroc[f"{name} {kind}"] = float(roc_auc_score(unseen, torch.cat([known[kind], doubt]).numpy()))
    chosen = np.log(np.clip(mean[np.arange(len(labels)), labels], 1e-38, None))
    ece = expected_calibration_error(*top_label(mean, labels))
    return Result(method, seconds, accuracy(mean, labels), -log_score(chosen), ece, auroc)


def compete(data: Images, epochs: int, draws: int, seed: int) -> list[Result]:
    """MAP, the ensemble, and a posterior of every head; training time by the process's own clock."""
    networks, seconds = [], []
    for number in range(ENSEMBLE):
        began = time.process_time()
        networks.append(train(data, epochs, seed + number))
        seconds.append(time.process_time() - began)
    results = [
        score("MAP", networks[0].unsqueeze(0), seconds[0], data),
        score(f"ensemble of {ENSEMBLE}", torch.stack(networks), sum(seconds), data),
    ]
    for head, recipe in RECIPES.items():
        began = time.process_time()
        members = [posterior(data, epochs, head, seed + number) for number in range(recipe.members)]
        took = time.process_time() - began
        generator = torch.Generator().manual_seed(seed)
        weights = torch.cat(
            [member.sample(draws // recipe.members, generator=generator) for member in members]
        )
        results.append(score(f"{head} head", weights, took, data))
    return [result._replace(time=result.time / sum(seconds)) for result in results]


# -- what is said of them ---------------------------------------------------------------------------------


def cells(results: list[Result]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, as text."""
    kinds = list(dict.fromkeys(name for result in results for name in result.auroc))
    headings = ["method", "time", "accuracy", "NLL", "ECE", *(f"AUROC {kind}" for kind in kinds)]
    rows = [
        [
            *(result.method, f"{result.time:.2f}"),
            *(f"{result.accuracy:.4f}", f"{result.nll:.4f}", f"{result.ece:.4f}"),
            *(f"{result.auroc[kind]:.3f}" if kind in result.auroc else "" for kind in kinds),
        ]
        for result in results
    ]
    return headings, rows


def verdicts(results: list[Result]) -> list[str]:
    """Whether the aim is reached, and if not in what."""
    _, ensemble, *posteriors = results
    sentences = []
    for result in posteriors:
        worse = [f"NLL ({result.nll:.4f} for {ensemble.nll:.4f})"] if result.nll > ensemble.nll else []
        worse += [
            f"AUROC {kind} ({value:.3f} for {ensemble.auroc[kind]:.3f})"
            for kind, value in result.auroc.items()
            if value < ensemble.auroc[kind]
        ]
        if result.time > BUDGET:
            worse.append(f"training time ({result.time:.2f} for at most {BUDGET})")
        outcome = "it falls short in " + ", ".join(worse) if worse else "the aim is reached"
        sentences.append(f"{result.method}: {outcome}.")
    return sentences


def sizes(data: Images, epochs: int) -> str:
    """What the numbers are from, in a few sentences."""
    recipes = "; ".join(
        f"{head}, {recipe.members} × ({recipe.warm * epochs:.1f} + {recipe.grown * epochs:.1f})"
        for head, recipe in RECIPES.items()
    )
    return (
        f"{len(data.x):,} training rows, {len(data.x_test):,} test rows. MAP and every network of the "
        f"ensemble train for {epochs} epochs; a posterior's members for some epochs of the mean weights "
        f"alone and some of all of it ({recipes}), at KL temperature {TEMPERATURE}. Time is that of "
        "training, by the process's own clock on one thread, as a share of the ensemble's. AUROC is for "
        "telling test rows from unseen kinds: by the entropy of the mean prediction, and by the mutual "
        "information (MI) of label and weights, which one network alone has not."
    )


def show(results: list[Result]) -> None:
    headings, rows = cells(results)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading.replace(" ", "\n"), justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=100).print(table)


def write(output: Path, results: list[Result], about: str) -> None:
    """The table as CSV, and as Markdown beside it with what is to be said of it."""
    headings, rows = cells(results)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([headings, *rows])
    output.write_text(text.getvalue(), encoding="utf-8")
    lines = ["| " + " | ".join(row) + " |" for row in (headings, ["---"] * len(headings), *rows)]
    aim = f"The aim: NLL and AUROC no worse than the ensemble's in at most {BUDGET:.2f} of its training time."
    found = "\n".join(f"- {sentence}" for sentence in verdicts(results))
    page = ["# Fashion-MNIST", about, "\n".join(lines), aim, found]
    output.with_suffix(".md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="of Fashion-MNIST's four files; without it a set is made up")
    add("--rows", type=int, help="train on so many rows only")
    add("--epochs", type=int, help=f"of MAP, and of each network of the ensemble; {EPOCHS} if not said")
    add("--draws", type=int, default=20, help="weight draws that a posterior predicts with")
    add("--seed", type=int, default=0)
    add("--output", type=Path, help="write the table to this CSV file, and as Markdown beside it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        data = read_images(options.folder or make_up(Path(made)), options.rows)
    epochs = options.epochs or (EPOCHS if options.folder else MADE_UP_EPOCHS)
    results = compete(data, epochs, options.draws, options.seed)
    about = sizes(data, epochs)
    print(about if options.folder else f"On a made-up set, only to see it run. {about}")
    show(results)
    print("\n".join(verdicts(results)))
    if options.output:
        write(options.output, results, about)


if __name__ == "__main__":
    main()
