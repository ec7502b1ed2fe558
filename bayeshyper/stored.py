"""Fitted models in files: one file without pickle, and the same predictions to the bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from bayeshyper.base import Array
from bayeshyper.budget import Budget
from bayeshyper.data import Extent, TableEncoder
from bayeshyper.data.names import listed
from bayeshyper.diagnostics import Audit
from bayeshyper.errors import DataError, ModelFileError
from bayeshyper.hyper import HyperEstimator
from bayeshyper.inference import History
from bayeshyper.modelfile import ModelRecord, read_model_file, write_model_file
from bayeshyper.ownnetwork import answers, check_same_outputs, check_same_tensors, probe
from bayeshyper.recipes import check_recipe
from bayeshyper.strictjson import to_json
from bayeshyper.tensorfile import LONGEST_HEADER
from bayeshyper.version import __version__

__all__ = ["StoredEstimator"]

# How a model file names its tensors.
PARTS, ALONE = ("guide.", "model.", "encoder.", "extent."), ("draws", "probe.rows", "probe.outputs")
# What is raised where a record's values are of the right types, and make no sense.
DOES_NOT_FIT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Numbers that any tensor may have while a model is built, 4 MB: what is made for a moment only, say.
SMALL = 2**20
# Bytes of names and classes: half of what a file has for all that is no tensor.
MOST_NAMES = LONGEST_HEADER // 2
# Draws are made in float32, and kept in float64.
MOST_DRAWN = torch.finfo(torch.float32).max


class StoredEstimator(HyperEstimator):
    """An estimator that can be saved and loaded; subclasses say what there is to keep of their target."""

    def _target_record(self) -> dict[str, Any]:
        """What a model file keeps of the target, as JSON."""
        raise NotImplementedError

    def _restore_target(self, record: Mapping[str, Any]) -> None:
        """The inverse of `_target_record`."""
        raise NotImplementedError

    def _encode_training(self, X: Any, y: Any) -> tuple[Array, Array]:
        encoded = super()._encode_training(X, y)
        names = [self.encoder_.to_state()[0], self.target_name_, self._target_record()]
        if (length := len(json.dumps(to_json(names)))) > MOST_NAMES:
            raise DataError(
                f"Got names of columns and classes of {length:,} bytes, expected {MOST_NAMES:,} at most: "
                "shorten them."
            )
        return encoded

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file: no pickle, no training data, atomically.

        An audit that has been computed is kept in it. The checkpoint of its fit, if there was one, is removed
        once the file is safe.
        """
        check_is_fitted(self)
        if self._checkpoint is not None and Path(path).absolute() in self._checkpoint[0].files:
            raise ValueError(f"Got {path}, which is the fit's own checkpoint, expected another path.")
        tensors = {f"guide.{name}": tensor for name, tensor in self._guide.state_dict().items()}
        tensors |= {f"model.{name}": tensor for name, tensor in self._model.state_dict().items()}
        tensors["draws"] = self._draws
        if self.network is not None:
            tensors |= probe(self._model64, self._draws, self.n_encoded_)
        encoder, arrays = self.encoder_.to_state()
        tensors |= {f"encoder.{name}": torch.tensor(array) for name, array in arrays.items()}
        if self._extent is not None:
            reach = self._extent.to_arrays()
            tensors |= {f"extent.{name}": torch.tensor(array) for name, array in reach.items()}
        record = ModelRecord(
            estimator=type(self).__name__,
            bayeshyper=__version__,
            recipe=self.recipe_,
            inference_recipe=self.inference_recipe_,
            inference=self.inference_,
            custom_network=None if self.network is None else type(self.network).__name__,
            n_draws=self.n_draws,
            seed=int(self.random_state) if isinstance(self.random_state, Integral) else None,
            encoder=encoder,
            target_name=self.target_name_,
            n_rows=self.n_rows_,
            n_heldout=self.n_heldout_,
            history=self.history_.to_dict(),
            audit=None if self._audit is None else self._audit.to_dict(),
            target=self._target_record(),
        )
        write_model_file(Path(path), record, tensors)
        if self._checkpoint is not None:
            checkpoint, owner = self._checkpoint
            checkpoint.remove(owner)

    @classmethod
    def load(cls, path: str | Path, network: nn.Module | None = None) -> Self:
        """Read a model that `save` wrote; its predictions are the same to the bit.

        Args:
            path: The file.
            network: The user's own module, if it was fitted with one; only its architecture matters.

        Raises:
            FileNotFoundError: There is no such file.
            ModelFileError: The file is damaged, of a newer format, or holds another estimator; or the network
                has other tensors or outputs than the one that was fitted.
        """
        record, tensors = read_model_file(Path(path))
        return cls._from_file(path, record, tensors, network)

    @classmethod
    def _from_file(
        cls, path: str | Path, record: ModelRecord, tensors: Mapping[str, Tensor], network: nn.Module | None
    ) -> Self:
        """The estimator that a file's record and tensors, already read, describe."""
        if record.estimator != cls.__name__:
            raise ModelFileError(
                f"{path} holds a {record.estimator[:40]}, expected a {cls.__name__}; "
                f"use bayeshyper.load, which reads either."
            )
        if record.custom_network is not None and network is None:
            raise ModelFileError(
                f"{path} was fitted with a network of your own ({record.custom_network[:40]}); "
                "pass a module of the same architecture as network=."
            )
        model = cls(
            record.recipe,
            record.inference_recipe,
            network=None if record.custom_network is None else network,
            n_draws=record.n_draws,
            random_state=record.seed,
        )
        try:
            model._restore(record, tensors)
        except ModelFileError:
            raise
        except DOES_NOT_FIT as error:
            reason = str(error).partition("\n")[0]  # behind it, torch may have a stack of its own
            raise ModelFileError(f"{path} does not fit together: {reason}") from error
        return model

    def _restore(self, record: ModelRecord, tensors: Mapping[str, Tensor]) -> None:
        arrays = {name: tensor.numpy() for name, tensor in _under("encoder.", tensors).items()}
        self.encoder_ = TableEncoder.from_state(record.encoder, arrays)
        self.n_features_in_ = self.encoder_.n_features_in_
        if self.encoder_.feature_names_in_ is not None:
            self.feature_names_in_ = self.encoder_.feature_names_in_
        reach = {name: tensor.numpy() for name, tensor in _under("extent.", tensors).items()}
        # Earlier files have none.
        self._extent = Extent.from_arrays(reach, self.encoder_.n_features_out_) if reach else None
        self.target_name_ = record.target_name
        self._restore_target(record.target)
        self._rebuild(record, tensors)
        self.recipe_ = record.recipe
        self.inference_ = record.inference
        self._model.num_data = self.n_rows_ = record.n_rows
        self.n_heldout_ = record.n_heldout
        self._keep_draws(self._checked_draws(tensors["draws"]))
        if self.network is not None:
            check_same_outputs(self._model64, self._draws, tensors, str(record.custom_network))
        self.history_ = History.from_dict(record.history)
        self._audit = None if record.audit is None else Audit.from_dict(record.audit)
        self._check_belong_together()
        self._training = self._checkpoint = None
        self.about()  # finds everything that a report says of a model

    def _rebuild(self, record: ModelRecord, tensors: Mapping[str, Tensor]) -> None:
        """Build model and guide as the recipes say, and give them the file's tensors, which must fit."""
        check_recipe("models", record.recipe)
        check_recipe("inference", record.inference_recipe)
        layers = [table.get("hidden", []) for table in record.recipe.values() if isinstance(table, dict)]
        means = tensors["guide.hypernetwork.mean"]
        if max(map(len, layers), default=0) > len(tensors) or means.shape[1:] != tensors["draws"].shape[1:]:
            raise ValueError("The recipe asks for more than the file holds.")
        if self.network is not None:
            check_same_tensors(self.network, tensors, str(record.custom_network))
        strange = [name for name in tensors if not name.startswith(PARTS) and name not in ALONE]
        if strange:
            raise ValueError(f"The tensors {listed(strange, most=4)} are not those of a model.")
        held = sum(tensor.numel() for tensor in tensors.values())
        with Budget(max(SMALL, held)):
            self._assemble(
                _untrained(record.recipe),
                record.inference_recipe,
                self.encoder_.n_features_out_,
                seed=0,
                means=torch.zeros(means.shape),
            )
        if self.settings_.members != len(means):
            raise ValueError(f"Got {len(means)} members, expected {self.settings_.members}.")
        for prefix, module in (("guide.", self._guide), ("model.", self._model)):
            _fill(module, _under(prefix, tensors))
        parts = {**self._guide.state_dict(), **self._model.state_dict()}
        wrong = [name for name, part in parts.items() if not part.isfinite().all()]
        if wrong:
            raise ValueError(f"Got {listed(wrong, most=4)} not finite, as no fit ends.")
        hypernetwork, scale = self._guide.hypernetwork, self._model.prior.scale
        if not (scale > 0).all() or not torch.equal(hypernetwork.unit, scale):
            raise ValueError("Got a unit of the hypernetwork that is not the prior's scale, above 0.")
        with torch.no_grad():
            drawn = hypernetwork.sample(len(means), generator=torch.Generator().manual_seed(0))
        if not drawn.isfinite().all():
            raise ValueError("Got a hypernetwork whose weights are not finite, as no fit ends.")

    def _checked_draws(self, draws: Tensor) -> Tensor:
        """The draws, if they are such as this model makes: equally many of each member."""
        members, size = self._guide.hypernetwork.members, self._model.spec.size
        if (
            draws.dtype != torch.float64
            or draws.shape[1:] != (size,)
            or not len(draws)
            or len(draws) % members
        ):
            raise ValueError(f"Got draws of shape {tuple(draws.shape)}, expected some ({members} S, {size}).")
        if not (draws.abs() <= MOST_DRAWN).all():
            raise ValueError("Got draws that are not finite in float32, as no fit ends.")
        return draws

    def _check_belong_together(self) -> None:
        """Hold the parts of a file, each possible by itself, against each other.

        Raises:
            ValueError: The audit is not of this posterior, or the row in the middle of those fitted, whose
                encoded numbers are all 0, has no finite prediction.
        """
        audited, start = self._audit, self.history_.start
        own = (self._guide.hypernetwork.members, start["temperature"])
        if audited is not None and (audited.n_members, audited.temperature) != own:
            raise ValueError("Got an audit of another number of members, or at another temperature.")
        if self.history_.best_step < 1 or start["rows"] > self.n_rows_:
            raise ValueError("Got a history of more rows than were fitted, or of no step that was kept.")
        middle = self._predictive(torch.zeros(1, self.n_encoded_, dtype=torch.float64), self._draws)
        if self.network is not None and not answers(middle):
            return
        try:
            parts = (middle.mean, middle.std) if middle.task == "regression" else (middle.probs,)
        except DataError as error:  # the row is too far from all, which this one cannot be
            raise ValueError("Got draws whose predictions are beyond all numbers, as no fit ends.") from error
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("Got draws whose predictions are not finite, as no fit ends.")

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, **{name: None for name in ("_training", "_checkpoint") if name in state}}


def _fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a module its tensors, which must be of the names, shapes and types of its own."""
    own = {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
    given = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    differing = [name for name in own | given if own.get(name) != given.get(name)]
    if differing:
        raise ValueError(f"The tensors {listed(differing, most=4)} are not those of the recipe.")
    module.load_state_dict(state)
    module.eval()


def _untrained(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the pretrained weights: a model file has its own, and theirs may be gone."""
    target = {key: value for key, value in recipe.get("target", {}).items() if key != "pretrained"}
    return {**recipe, "target": target}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
