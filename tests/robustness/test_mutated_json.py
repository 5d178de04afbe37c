import json
from collections import Counter

from mutated_json import mutate

DOCUMENT = json.dumps(
    {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"bbox": [1, 2, 3, 4]}]}
).encode()


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert [mutate(DOCUMENT, seed) for seed in range(300)] == [mutate(DOCUMENT, seed) for seed in range(300)]


def test_mutations_reach_the_parser_and_what_comes_after_it() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(1000):
        try:
            json.loads(mutate(DOCUMENT, seed))
            outcomes["parsed"] += 1
        except (ValueError, RecursionError) as error:
            outcomes[type(error).__name__] += 1
    assert outcomes["parsed"] > 300
    assert outcomes.keys() >= {"JSONDecodeError", "UnicodeDecodeError", "RecursionError"}
