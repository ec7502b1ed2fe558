"""The encoder of version 1: objects of scikit-learn as skops writes them, of which no object is made.

skops rebuilds whatever a file names. Here the few numbers and texts that an encoder needs are looked up in
the tree that describes the objects, and nothing else is.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.data.arithmetic import Labels, Numbers
from bayeshyper.strictjson import read_json

__all__ = ["encoder_1"]

# Bytes, unpacked: half a million categories.
LARGEST = 2**26
# Those that skops uses; others can unpack to any size at once.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Node = Mapping[str, Any]


def encoder_1(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The state, see `TableEncoder.from_state`, of an encoder in a zip file of skops.

    Raises:
        ValueError: It is none, or damaged, or unpacks to more than 64 MiB.
    """
    try:
        return _Packed(content).encoder()
    except ValueError:
        raise
    except Exception as error:  # bytes that are not ours can fail anywhere in zipfile
        raise ValueError(f"its encoder cannot be read: {error!r}") from error


class _Packed:
    """A zip file with ``schema.json``, a tree of nodes, and arrays that the nodes name."""

    def __init__(self, content: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        self._left = LARGEST

    def encoder(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        state = _fields(read_json(self._unpack("schema.json")))
        if _plain(state["format"]) != 1:
            raise ValueError("its encoder is of another format")
        record = {
            "named": _plain(state["named"]),
            "names": [_plain(name) for name in _items(state["names"])],
            "kinds": [_plain(kind) for kind in _items(state["kinds"])],
        }
        parts = {}
        for part in _items(_fields(state["columns"])["transformers_"]):
            name, fitted, _ = _items(part)
            parts[_plain(name)] = fitted
        categorical = record["kinds"].count("category")
        labels = Labels([], []).arrays()
        if categorical < len(record["kinds"]):
            numbers = self._numbers(parts["numbers"], parts["missing"])
        else:
            none = np.empty(0)
            numbers = Numbers(none, none, none, none, none.astype(np.int64)).arrays()
        if categorical:
            labels = self._labels(parts["categories"])
        return record, numbers | labels

    def _numbers(self, pipeline: Node, missing: Node) -> dict[str, NDArray[Any]]:
        fill, divide, standardize = (_fields(_items(step)[1]) for step in _items(_fields(pipeline)["steps"]))
        return Numbers(
            self._array(fill["statistics_"]),
            self._array(divide["scale_"]),
            self._array(standardize["mean_"]),
            self._array(standardize["scale_"]),
            self._array(_fields(missing)["features_"]).astype(np.int64),
        ).arrays()

    def _labels(self, one_hot: Node) -> dict[str, NDArray[Any]]:
        fields = _fields(one_hot)
        levels = [[_plain(label) for label in _items(column)] for column in _items(fields["categories_"])]
        rare = [np.zeros(len(column), dtype=bool) for column in levels]
        for places, node in zip(rare, _items(fields["_infrequent_indices"]), strict=True):
            if node["__loader__"] == "NdArrayNode":
                places[self._array(node)] = True
        return Labels(levels, rare).arrays()

    def _array(self, node: Node) -> NDArray[Any]:
        """A vector of numbers in numpy's own format."""
        content = self._unpack(node["file"])
        stream = io.BytesIO(content)
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("its encoder has an array of another format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind not in "if" or len(shape) != 1:
            raise ValueError("its encoder has an array that is no vector of numbers")
        array: NDArray[Any] = np.frombuffer(content, dtype, offset=stream.tell())
        if array.shape != shape:
            raise ValueError("its encoder has an array of another length than it says")
        return array

    def _unpack(self, name: str) -> bytes:
        """A file inside, if there is room for it."""
        info = self._zip.getinfo(name)
        self._left -= info.file_size
        if self._left < 0 or info.compress_type not in COMPRESSIONS:
            raise ValueError(
                f"its encoder unpacks to more than {LARGEST:,} bytes, or in another way than ours"
            )
        with self._zip.open(info) as file:
            return file.read(info.file_size)  # never more, whatever is packed


def _fields(node: Node) -> dict[str, Node]:
    """The parts of an object or a dictionary, by name."""
    content: dict[str, Node] = node["content"]
    return _fields(content) if node["__loader__"] == "ObjectNode" else content


def _items(node: Node) -> list[Node]:
    """The parts of a list, a tuple, or an array of objects."""
    if not isinstance(node["content"], list):
        raise ValueError("its encoder has something else in a list's place")
    return node["content"]


def _plain(node: Node) -> Any:
    """A text, a number, or true or false."""
    return read_json(node["content"].encode())
