"""The one way in which tests wait: for a condition, with a deadline."""

import http.client
import time

PATIENCE_SECONDS = 40.0
POLL_SECONDS = 0.02


def eventually(what: str, probe, seconds: float = PATIENCE_SECONDS):
    """Calls `probe` until it answers something true, and returns that. A program that cannot be reached, or answers
    what makes no sense yet, counts as "not yet". Raises AssertionError with `what` and the last answer at the end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            last = probe()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {last!r}")
        time.sleep(POLL_SECONDS)
