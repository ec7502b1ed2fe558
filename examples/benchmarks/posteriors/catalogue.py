"""The posteriors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bayeshyper.errors import DataError

from . import functions, hierarchies, regressions, timeseries
from .reference import Data, Model, Posterior, read_data, read_draws, read_index

MODELS: Mapping[str, Callable[[Data], Model]] = {
    "arK-arK": timeseries.autoregression,
    "bball_drive_event_0-hmm_drive_0": timeseries.hidden_markov,
    "diamonds-diamonds": regressions.diamonds,
    "earnings-log10earn_height": regressions.log10earn_height,
    "earnings-logearn_height_male": regressions.logearn_height_male,
    "earnings-logearn_interaction_z": regressions.logearn_interaction_z,
    "eight_schools-eight_schools_centered": hierarchies.eight_schools_centered,
    "garch-garch11": timeseries.garch,
    "gp_pois_regr-gp_regr": functions.gaussian_process,
    "hudson_lynx_hare-lotka_volterra": functions.lotka_volterra,
    "kidiq-kidscore_momhs": partial(regressions.kidscore, column="mom_hs"),
    "kidiq-kidscore_momiq": partial(regressions.kidscore, column="mom_iq"),
    "kidiq_with_mom_work-kidscore_interaction_c2": regressions.kidscore_interaction,
    "kidiq_with_mom_work-kidscore_mom_work": regressions.kidscore_mom_work,
    "low_dim_gauss_mix-low_dim_gauss_mix": hierarchies.gaussian_mixture,
    "mesquite-logmesquite_logva": partial(regressions.logmesquite, shape=False),
    "mesquite-logmesquite_logvash": partial(regressions.logmesquite, shape=True),
    "mesquite-mesquite": regressions.mesquite,
    "nes1976-nes": regressions.nes,
    "nes1984-nes": regressions.nes,
    "nes1992-nes": regressions.nes,
    "nes2000-nes": regressions.nes,
    "sblrc-blr": regressions.blr,
}
SIMPLICES = {"garch-garch11": {"weights": ("alpha1", "beta1")}}
POSTERIORS = tuple(MODELS)


def posterior(name: str, folder: Path) -> Posterior:
    """A posterior by its name.

    Args:
        name: One of `POSTERIORS`.
        folder: Where ``index.json``, ``data`` and ``reference_draws`` are.

    Raises:
        DataError: There is no such posterior, or nothing in the folder.
    """
    if name not in MODELS:
        raise DataError(f"There is no posterior {name!r}: expected one of {', '.join(POSTERIORS)}.")
    entry = read_index(folder)[name]
    names = tuple(entry["params"])
    model = MODELS[name](read_data(folder, entry["data"]))
    reference = read_draws(folder, entry["ref"], names)
    return Posterior(name, model, names, reference, SIMPLICES.get(name, {}))
