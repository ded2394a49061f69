"""How often a request is sent again: full jitter, an upper bound in tries and in time."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Retry:
    """When to give up, and the clock and chance by which to wait.

    Source: Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015 ("full jitter").
    """

    tries: int = 8
    limit_seconds: float = 120
    base_seconds: float = 0.2
    cap_seconds: float = 20
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    rng: random.Random = field(default_factory=random.Random)

    def call[T](self, attempt: Callable[[], T], again: Callable[[Exception], bool]) -> T:
        """Return what `attempt` returns, calling it again after errors for which `again` says so; raise the last."""
        end = self.clock() + self.limit_seconds
        for tried in range(1, self.tries + 1):
            try:
                return attempt()
            except Exception as error:
                pause = self.rng.uniform(0, min(self.cap_seconds, self.base_seconds * 2**tried))
                if tried == self.tries or not again(error) or self.clock() + pause > end:
                    raise
            self.sleep(pause)
        raise AssertionError("tries is positive")


NEVER = Retry(tries=1)
