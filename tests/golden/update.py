"""`python -m tests.golden.update`: writes what the builders build today."""

from __future__ import annotations

from tests.golden import ENDPOINTS, golden, rendered

if __name__ == "__main__":
    for case in ENDPOINTS:
        golden(case).parent.mkdir(exist_ok=True)
        golden(case).write_text(rendered(case))
