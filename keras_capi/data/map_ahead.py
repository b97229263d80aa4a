import collections
import concurrent.futures

NUM_THREADS = 4


def map_ahead(function, items, count=32):
    """Applies a function in threads that run ahead of the caller.

    Unlike `Executor.map` it takes items only as they are needed, so that not
    all results are in memory at once, and continues after an error.

    Args:
        function: Callable that takes an item.
        items: Iterable.
        count: Integer. The number of items to work ahead. Defaults to `32`.

    Yields:
        Pairs of an item and a future with its result, in order.
    """
    ahead = collections.deque()
    executor = concurrent.futures.ThreadPoolExecutor(NUM_THREADS)
    try:
        for item in items:
            ahead.append((item, executor.submit(function, item)))
            if len(ahead) > count:
                yield ahead.popleft()
        while ahead:
            yield ahead.popleft()
    finally:
        # Does not wait: an abandoned generator may be garbage-collected in one
        # of the threads, which cannot wait for itself.
        executor.shutdown(wait=False, cancel_futures=True)
