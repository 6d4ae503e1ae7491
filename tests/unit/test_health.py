"""The error budget: what replaces a replica, and what does not."""

from __future__ import annotations

import pytest

from modelendpoint_serve.health import ErrorBudget


def test_a_budget_is_spent_by_errors_in_a_row() -> None:
    budget = ErrorBudget()
    for _ in range(3):
        budget.check(3)
        budget.failed()
    with pytest.raises(RuntimeError, match="3 requests in a row"):
        budget.check(3)


def test_one_success_forgives_all() -> None:
    budget = ErrorBudget()
    budget.failed()
    budget.failed()
    budget.succeeded()
    budget.failed()
    budget.check(2)
