"""The posteriors' log densities a second time: one draw at a time, in numpy and scipy, from the formulas.

Each takes the data as it stands in its file and the parameters by name, and leaves constants out or in as it
likes: only differences between draws are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import integrate, stats

Data = Mapping[str, Any]
Parameters = Mapping[str, float]
Density = Callable[[Data, Parameters], float]


def normals(y: Any, mean: Any, scale: Any) -> float:
    return float(stats.norm.logpdf(y, mean, scale).sum())


def several(p: Parameters, name: str) -> Any:
    """name[1], name[2], … as one array."""
    return np.array([value for key, value in p.items() if key.startswith(f"{name}[")])


def auto_regression(d: Data, p: Parameters) -> float:
    total = normals(p["alpha"], 0, 10) + normals(several(p, "beta"), 0, 10)
    total += stats.cauchy.logpdf(p["sigma"], 0, 2.5)
    for t in range(d["K"], d["T"]):
        mean = p["alpha"] + sum(p[f"beta[{k}]"] * d["y"][t - k] for k in range(1, d["K"] + 1))
        total += -np.log(p["sigma"]) - 0.5 * ((d["y"][t] - mean) / p["sigma"]) ** 2
    return total


def hidden_markov(d: Data, p: Parameters) -> float:
    theta = [[p["theta1[1]"], p["theta1[2]"]], [p["theta2[1]"], p["theta2[2]"]]]
    phi, rate = several(p, "phi"), several(p, "lambda")
    total = sum(stats.dirichlet.logpdf(row, alpha) for row, alpha in zip(theta, d["alpha"], strict=True))
    total += normals(phi, [0, 3], 1) + normals(rate, [0, 3], 1)
    weights = np.ones(2)
    for t in range(d["N"]):
        if t > 0:
            weights = np.array([sum(weights[j] * theta[j][k] for j in range(2)) for k in range(2)])
        weights = weights * phi * np.exp(-phi * d["u"][t]) * rate * np.exp(-rate * d["v"][t])
        total += np.log(weights.sum())
        weights = weights / weights.sum()
    return total


def garch(d: Data, p: Parameters) -> float:
    scale, total = d["sigma1"], 0.0
    for t in range(d["T"]):
        if t > 0:
            shock = (d["y"][t - 1] - p["mu"]) ** 2
            scale = np.sqrt(p["alpha0"] + p["alpha1"] * shock + p["beta1"] * scale**2)
        total += -np.log(scale) - 0.5 * ((d["y"][t] - p["mu"]) / scale) ** 2
    return total


def eight_schools(d: Data, p: Parameters) -> float:
    theta = several(p, "theta")
    prior = stats.cauchy.logpdf(p["tau"], 0, 5) + normals(p["mu"], 0, 5) + normals(theta, p["mu"], p["tau"])
    return prior + normals(d["y"], theta, d["sigma"])


def gaussian_process(d: Data, p: Parameters) -> float:
    covariance = np.zeros((d["N"], d["N"]))
    for i in range(d["N"]):
        for j in range(d["N"]):
            gap = (d["x"][i] - d["x"][j]) ** 2
            covariance[i, j] = p["alpha"] ** 2 * np.exp(-gap / (2 * p["rho"] ** 2))
        covariance[i, i] += p["sigma"]
    prior = stats.gamma.logpdf(p["rho"], 25, scale=1 / 4)
    prior += normals(p["alpha"], 0, 2) + normals(p["sigma"], 0, 1)
    return prior + stats.multivariate_normal.logpdf(d["y"], np.zeros(d["N"]), covariance)


def lotka_volterra(d: Data, p: Parameters) -> float:
    first, second, third, fourth = several(p, "theta")
    start, sigma = several(p, "z_init"), several(p, "sigma")

    def slope(_: float, z: Any) -> list[float]:
        u, v = z
        return [(first - second * v) * u, (-third + fourth * u) * v]

    z = integrate.solve_ivp(slope, (0, d["ts"][-1]), start, t_eval=d["ts"], rtol=1e-10, atol=1e-10).y.T
    total = normals([first, third], 1, 0.5) + normals([second, fourth], 0.05, 0.05)
    for k in range(2):
        total += stats.lognorm.logpdf(sigma[k], 1, scale=np.exp(-1))
        total += stats.lognorm.logpdf(start[k], 1, scale=10)
        total += stats.lognorm.logpdf(d["y_init"][k], sigma[k], scale=start[k])
        total += stats.lognorm.logpdf(d["y"][:, k], sigma[k], scale=z[:, k]).sum()
    return total


def gaussian_mixture(d: Data, p: Parameters) -> float:
    mu, sigma = several(p, "mu"), several(p, "sigma")
    first = p["theta"] * stats.norm.pdf(d["y"], mu[0], sigma[0])
    second = (1 - p["theta"]) * stats.norm.pdf(d["y"], mu[1], sigma[1])
    prior = normals(mu, 0, 2) + normals(sigma, 0, 2) + stats.beta.logpdf(p["theta"], 5, 5)
    return prior + np.log(first + second).sum()


def diamonds(d: Data, p: Parameters) -> float:
    mean = np.full(d["N"], p["Intercept"])
    for k in range(1, d["K"]):
        mean += p[f"b[{k}]"] * (d["X"][:, k] - d["X"][:, k].mean())
    total = normals(several(p, "b"), 0, 1) + stats.t.logpdf(p["Intercept"], 3, 8, 10)
    return total + stats.t.logpdf(p["sigma"], 3, 0, 10) + normals(d["Y"], mean, p["sigma"])


def log10_earn_height(d: Data, p: Parameters) -> float:
    return normals(np.log10(d["earn"]), p["beta[1]"] + p["beta[2]"] * d["height"], p["sigma"])


def log_earn_height_male(d: Data, p: Parameters) -> float:
    mean = p["beta[1]"] + p["beta[2]"] * d["height"] + p["beta[3]"] * d["male"]
    return normals(np.log(d["earn"]), mean, p["sigma"])


def log_earn_interaction_z(d: Data, p: Parameters) -> float:
    z = (d["height"] - np.mean(d["height"])) / np.std(d["height"], ddof=1)
    mean = p["beta[1]"] + p["beta[2]"] * z + p["beta[3]"] * d["male"] + p["beta[4]"] * z * d["male"]
    return normals(np.log(d["earn"]), mean, p["sigma"])


def kid_score(column: str) -> Density:
    def density(d: Data, p: Parameters) -> float:
        mean = p["beta[1]"] + p["beta[2]"] * d[column]
        return stats.cauchy.logpdf(p["sigma"], 0, 2.5) + normals(d["kid_score"], mean, p["sigma"])

    return density


def kid_score_interaction(d: Data, p: Parameters) -> float:
    a, b = d["mom_hs"] - 0.5, d["mom_iq"] - 100
    mean = p["beta[1]"] + p["beta[2]"] * a + p["beta[3]"] * b + p["beta[4]"] * a * b
    return normals(d["kid_score"], mean, p["sigma"])


def kid_score_mom_work(d: Data, p: Parameters) -> float:
    steps = {1: 0.0, 2: p["beta[2]"], 3: p["beta[3]"], 4: p["beta[4]"]}
    mean = [p["beta[1]"] + steps[work] for work in d["mom_work"]]
    return normals(d["kid_score"], mean, p["sigma"])


def log_mesquite_volume_area(d: Data, p: Parameters) -> float:
    volume = np.log(d["diam1"] * d["diam2"] * d["canopy_height"])
    mean = p["beta[1]"] + p["beta[2]"] * volume + p["beta[3]"] * np.log(d["diam1"] * d["diam2"])
    return normals(np.log(d["weight"]), mean + p["beta[4]"] * d["group"], p["sigma"])


def log_mesquite_with_shape(d: Data, p: Parameters) -> float:
    volume = np.log(d["diam1"] * d["diam2"] * d["canopy_height"])
    mean = p["beta[1]"] + p["beta[2]"] * volume + p["beta[3]"] * np.log(d["diam1"] * d["diam2"])
    mean += p["beta[4]"] * np.log(d["diam1"] / d["diam2"]) + p["beta[5]"] * np.log(d["total_height"])
    return normals(np.log(d["weight"]), mean + p["beta[6]"] * d["group"], p["sigma"])


def mesquite(d: Data, p: Parameters) -> float:
    mean = p["beta[1]"] + p["beta[2]"] * d["diam1"] + p["beta[3]"] * d["diam2"]
    mean = mean + p["beta[4]"] * d["canopy_height"] + p["beta[5]"] * d["total_height"]
    mean = mean + p["beta[6]"] * d["density"] + p["beta[7]"] * d["group"]
    return normals(d["weight"], mean, p["sigma"])


def party_identity(d: Data, p: Parameters) -> float:
    mean = p["beta[1]"] + p["beta[2]"] * d["real_ideo"] + p["beta[3]"] * d["race_adj"]
    mean = mean + np.array([0.0, p["beta[4]"], p["beta[5]"], p["beta[6]"]])[d["age_discrete"] - 1]
    mean = mean + p["beta[7]"] * d["educ1"] + p["beta[8]"] * d["gender"] + p["beta[9]"] * d["income"]
    return normals(d["partyid7"], mean, p["sigma"])


def bayesian_linear_regression(d: Data, p: Parameters) -> float:
    beta = several(p, "beta")
    prior = normals(beta, 0, 10) + normals(p["sigma"], 0, 10)
    return prior + sum(normals(y, x @ beta, p["sigma"]) for x, y in zip(d["X"], d["y"], strict=True))


DENSITIES: dict[str, Density] = {
    "arK-arK": auto_regression,
    "bball_drive_event_0-hmm_drive_0": hidden_markov,
    "diamonds-diamonds": diamonds,
    "earnings-log10earn_height": log10_earn_height,
    "earnings-logearn_height_male": log_earn_height_male,
    "earnings-logearn_interaction_z": log_earn_interaction_z,
    "eight_schools-eight_schools_centered": eight_schools,
    "garch-garch11": garch,
    "gp_pois_regr-gp_regr": gaussian_process,
    "hudson_lynx_hare-lotka_volterra": lotka_volterra,
    "kidiq-kidscore_momhs": kid_score("mom_hs"),
    "kidiq-kidscore_momiq": kid_score("mom_iq"),
    "kidiq_with_mom_work-kidscore_interaction_c2": kid_score_interaction,
    "kidiq_with_mom_work-kidscore_mom_work": kid_score_mom_work,
    "low_dim_gauss_mix-low_dim_gauss_mix": gaussian_mixture,
    "mesquite-logmesquite_logva": log_mesquite_volume_area,
    "mesquite-logmesquite_logvash": log_mesquite_with_shape,
    "mesquite-mesquite": mesquite,
    "nes1976-nes": party_identity,
    "nes1984-nes": party_identity,
    "nes1992-nes": party_identity,
    "nes2000-nes": party_identity,
    "sblrc-blr": bayesian_linear_regression,
}
