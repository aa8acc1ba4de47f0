"""What can be drawn: plots read these of a result, and know nothing else of it."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


class Explained(Protocol):
    """Values that explain inputs, as of `tfxai.Explanation`; its docstring has the shapes.

    Explanations part by part also have `weights`, `segments` or `tokens`; linear stand-ins have `r2`.
    """

    @property
    def values(self) -> Any:
        """Signed values, in the structure of the inputs."""
        ...

    @property
    def inputs(self) -> Any:
        """What was explained: an array (N, ...), or a dict, list or tuple of them."""
        ...

    @property
    def targets(self) -> NDArray:
        """Explained classes, (N,) or (N, K)."""
        ...

    @property
    def scores(self) -> NDArray:
        """Explained scores, of the targets' shape."""
        ...

    @property
    def method(self) -> str:
        """The method with its settings, as text."""
        ...

    @property
    def score(self) -> str:
        """What was explained, as text."""
        ...

    def __len__(self) -> int: ...

    def heatmap(self, input: str | int | None = None) -> NDArray:
        """Values summed over channels, (N, H, W), (N, K, H, W), (N, T) ..."""
        ...

    def one(self, input: str | int | None = None) -> tuple[NDArray, NDArray]:
        """Values and array of one of several inputs."""
        ...
