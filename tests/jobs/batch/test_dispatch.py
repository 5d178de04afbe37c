"""Who does which shard."""

import random

from mrpose_cli.jobs.batch.dispatch import TRIES, Dispatcher, Rest


def test_every_shard_is_given_once() -> None:
    dispatcher = Dispatcher(range(5))
    given = [dispatcher.next(worker) for worker in "abababa"]
    assert given[:5] == [0, 1, 2, 3, 4]
    assert given[5:] == [Rest.END, Rest.END]


def test_what_a_dead_worker_had_is_tried_again_alone() -> None:
    dispatcher = Dispatcher(range(4))
    assert [dispatcher.next("a"), dispatcher.next("a"), dispatcher.next("b")] == [0, 1, 2]
    assert dispatcher.died("a") == []
    assert dispatcher.next("b") == 3  # what nobody has tried comes first
    assert dispatcher.next("b") is Rest.FINISH  # with two shards open it would not be known which one it was
    dispatcher.done("b", 2)
    dispatcher.done("b", 3)
    assert dispatcher.next("b") == 0
    assert dispatcher.next("b") is Rest.FINISH
    dispatcher.done("b", 0)
    assert dispatcher.next("b") == 1
    dispatcher.done("b", 1)
    assert dispatcher.next("b") is Rest.END


def test_a_shard_that_kills_is_left_out_and_its_neighbors_are_not() -> None:
    dispatcher, done, deaths, worker = Dispatcher(range(20)), set[int](), 0, 0
    open_shards: list[int] = []
    while (answer := dispatcher.next(worker)) is not Rest.END:
        if isinstance(answer, int):
            open_shards.append(answer)
        if 7 in open_shards and (answer is Rest.FINISH or len(open_shards) == 3):
            dispatcher.died(worker)
            worker, deaths, open_shards = worker + 1, deaths + 1, []
        elif answer is Rest.FINISH or len(open_shards) == 3:
            for shard in open_shards:
                dispatcher.done(worker, shard)
            done |= set(open_shards)
            open_shards = []
    done |= set(open_shards)
    assert dispatcher.left_out == [7]
    assert deaths == TRIES
    assert done == set(range(20)) - {7}


def test_whoever_dies_no_shard_is_lost_or_done_twice() -> None:
    for seed in range(50):
        chance, dispatcher = random.Random(seed), Dispatcher(range(30))
        done: list[int] = []
        open_shards: dict[int, list[int]] = {}
        resting = 0
        while resting < 100:
            worker = chance.randrange(3)
            mine = open_shards.setdefault(worker, [])
            if chance.random() < 0.05:
                for shard in dispatcher.died(worker):
                    done.append(shard)
                open_shards[worker] = []
                continue
            if mine and chance.random() < 0.4:
                shard = mine.pop(0)
                dispatcher.done(worker, shard)
                done.append(shard)
            answer = dispatcher.next(worker)
            resting = resting + 1 if isinstance(answer, Rest) else 0
            if isinstance(answer, int):
                mine.append(answer)
            elif answer is Rest.FINISH:
                for shard in mine:
                    dispatcher.done(worker, shard)
                done += mine
                open_shards[worker] = []
        done += [shard for shards in open_shards.values() for shard in shards]
        assert sorted(done) == list(range(30))
