"""How many random instances a property is tried on: few every time, all by `make thorough`."""

import os


def instances(usual, thorough):
    """``usual``, or ``thorough`` where the environment asks for it."""
    return thorough if os.environ.get("THOROUGH") else usual
