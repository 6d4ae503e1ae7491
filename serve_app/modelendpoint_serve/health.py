"""When a replica must be replaced: a budget of errors in a row, never an inference of its own."""

from __future__ import annotations


class ErrorBudget:
    """Counts failures inside the model; a caller's mistakes are none, and one success forgives all."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self) -> None:
        self._in_a_row += 1

    def check(self, limit: int) -> None:
        """Raises `RuntimeError` when the budget is spent; Ray Serve then replaces the replica."""
        if self._in_a_row >= limit:
            raise RuntimeError(f"{self._in_a_row} requests in a row failed inside the model")
