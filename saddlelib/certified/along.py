"""The order-aware method inside the driver: for saddles on the way and a ravine at the end."""

from __future__ import annotations

from dataclasses import replace

from ..methods.order_aware import OrderAwareNewton

__all__ = ["follow", "solver"]


def solver(options) -> OrderAwareNewton:
    """The method with the options that the user gave; raises for others."""
    try:
        return OrderAwareNewton(**(options or {}))
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise TypeError(f"inner='ravine' takes the inner_options f_star and products, got "
                        f"{', '.join(options)}") from error


def follow(method, oracle, state) -> bool:
    """One step of the order-aware method in place; whether it goes on, or has arrived.

    Only its best point is taken over, so f does not rise. What has arrived or ended is forgotten:
    after an escape it begins anew.
    """
    within = replace(solver(method.inner_options), grad_threshold=method.goal(state))
    old = state.along
    if old is None:
        new = within.init(oracle, state.x)
    else:
        new = within.step(oracle, old)
    if new.best[0] is not state.x:
        state.moved = new.moved
    state.x, state.jac, state.value = new.best
    state.anchor, state.blind = (state.x, state.value, state.jac), 0
    state.hess_norm, state.floor = max(state.hess_norm, new.hess_norm), new.floor
    state.along = None if new.finished else new
    return new.finished in (None, "stationary")
