"""``mrpose batch``: any number of photos and clips, shard by shard, on whatever machines there are."""
