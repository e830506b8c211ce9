"""What the papers promise: explicit constants and laws, one file per paper."""

from . import du2017, jin2017, laws

__all__ = ["du2017", "jin2017", "laws"]
