import io
from pathlib import Path

from mutated_images import mutated_image
from mutated_names import write_names
from PIL import Image


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert [mutated_image(seed) for seed in range(60)] == [mutated_image(seed) for seed in range(60)]


def test_some_mutants_are_pictures_and_most_are_none() -> None:
    whole = 0
    for seed in range(60):
        try:
            with Image.open(io.BytesIO(mutated_image(seed)[1])) as picture:
                picture.load()
            whole += 1
        except Exception:  # whatever a decoder says
            continue
    assert 10 < whole < 40


def test_no_two_seeds_want_the_same_name(tmp_path: Path) -> None:
    for seed in range(200):
        write_names(seed, tmp_path)
    assert sum(1 for _ in tmp_path.iterdir()) > 190  # some are in a folder that others share
