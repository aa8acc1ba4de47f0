"""For pytest: `--tfxai-update`, and a fixture that keeps what a model looked at in a file beside the test.

    def test_reasons_stay(model, images, tfxai_reference):
        method = tfxai.IntegratedGradients()
        kept = tfxai_reference(lambda: tfxai.comparing.reference(model, images, method, twins=train_again(5)))
        tfxai.testing.assert_same_reasons(kept, model_of_today(), images, method)

Every run of pytest imports this file, so it imports nothing else: TensorFlow starts in the tests that need it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tfxai.comparing import ModelReference


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--tfxai-update`."""
    parser.getgroup("tfxai").addoption(
        "--tfxai-update",
        action="store_true",
        help="make the files of tfxai_reference again, and write them beside the tests",
    )


@pytest.fixture
def tfxai_reference(request: pytest.FixtureRequest) -> Callable[..., ModelReference]:
    """Called as `tfxai_reference(make, name="")`: the `tfxai.comparing.ModelReference` in the file of this test.

    make: makes it; called only with --tfxai-update, when the file is written. name: of one of several in one test.

    The file is TEST FILE.TEST[.NAME].npz, beside the test; keep it with the tests. Fails if there is none.
    """

    def kept(make: Callable[[], ModelReference], name: str = "") -> ModelReference:
        from tfxai.comparing import ModelReference

        path = _file(request, name)
        if request.config.getoption("--tfxai-update"):
            made = make()
            if not isinstance(made, ModelReference):
                raise ValueError(
                    f"tfxai_reference was given a function that makes a {type(made).__name__}. Let it give what "
                    "tfxai.comparing.reference(...) gives."
                )
            made.save(path)
        if not path.exists():
            pytest.fail(
                f"There is no {path}. Run pytest --tfxai-update once, and keep the file with the tests.",
                pytrace=False,
            )
        return ModelReference.load(path)

    return kept


def _file(request: pytest.FixtureRequest, name: str) -> Path:
    words = [request.path.stem, request.node.name, *([name] if name else [])]
    return request.path.with_name(
        ".".join(re.sub(r"[^\w]+", "-", word).strip("-") for word in words) + ".npz"
    )
