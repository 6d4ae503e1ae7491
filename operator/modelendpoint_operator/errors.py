"""The one exception that a user of the command meets."""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the user's, or a fault of their machine's: its text is printed instead of a traceback."""
