"""Arrays from files of NumPy, as options name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = (".npy", ".npz")


def arrays_in(name: str, option: str) -> NDArray | dict[str, NDArray]:
    """The array of a .npy file, or those of a .npz file by their names; nothing in it is executed.

    option: that names the file, for messages.

    Raises ValueError if it is no such file, FileNotFoundError if there is none.
    """
    import numpy as np

    if Path(name).suffix.lower() not in ENDINGS:
        raise ValueError(f"{option} is {name}. Give a file that ends in {' or '.join(ENDINGS)}.")
    try:
        held = np.load(name, allow_pickle=False)
        return held if isinstance(held, np.ndarray) else {key: held[key] for key in held.files}
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{name} cannot be read as arrays: {error}. Give a file of np.save or np.savez."
        ) from error
