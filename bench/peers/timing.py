"""How every peer is timed, as netc bench times netc (driver/measure.c)."""
import time


def measure(call, seconds):
    """Median and minimum in ms of calls for `seconds`, at least 9, after 3 that do not count."""
    for _ in range(3):
        call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 9:
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    times.sort()
    return 1e3 * times[len(times) // 2], 1e3 * times[0]
