"""The shard counts that split a model's attention heads evenly: powers of two, up to one machine's GPUs."""

SHARD_COUNTS = (1, 2, 4, 8)


def more_shards(count: int) -> int | None:
    """Return the next larger shard count; None where there is none."""
    return next((one for one in SHARD_COUNTS if one > count), None)


def fewer_shards(count: int) -> int | None:
    """Return the next smaller shard count; None where there is none."""
    return next((one for one in reversed(SHARD_COUNTS) if one < count), None)
