"""Float32 is float32 while mrpose computes, and what the program had set comes back."""

import threading
from collections.abc import Iterator

import pytest
import torch

from mrpose_cli.pipeline import precision
from mrpose_cli.pipeline.precision import full_float32


@pytest.fixture(params=["_SWITCHES", "_FORMER"])
def tf32_allowed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that allows TF32 everywhere, by the switches of this PyTorch and by those before 2.9."""
    monkeypatch.setattr(precision, "_SWITCHES", getattr(precision, request.param))
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


def values() -> list[object]:
    return [getattr(owner, name) for owner, name, _ in precision._SWITCHES]


def exact() -> list[object]:
    return [value for _, _, value in precision._SWITCHES]


@pytest.mark.usefixtures("tf32_allowed")
def test_switches_are_off_inside_and_as_before_outside() -> None:
    before = values()
    assert before != exact()
    with full_float32():
        assert values() == exact()
        with full_float32():
            assert values() == exact()
        assert values() == exact()
    assert values() == before
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert values() == before
    assert torch.backends.cudnn.allow_tf32  # still readable in the former way


@pytest.mark.usefixtures("tf32_allowed")
def test_threads_that_overlap_leave_them_as_before() -> None:
    before = values()
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    seen: list[list[object]] = []

    def first() -> None:
        with full_float32():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(10)
    with full_float32():
        second_in.set()
        first_out.wait(10)
        seen.append(values())
    thread.join()
    assert seen == [exact()]
    assert values() == before
