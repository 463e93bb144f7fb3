"""How a peer offers to compute a row, shared by all `peer_*.py`."""

from dataclasses import dataclass
from typing import Any, Callable


@dataclass
class Way:
    """One way to compute an opened case."""

    # Beside the peer's name, where a peer has several ways.
    name: str
    function: Callable
    args: tuple
    # Whether the function takes the number of calls first and makes them itself.
    loops: bool = False
    # The result where it is not in the given output: from what the function returns.
    result: Callable[[Any], Any] | None = None


def plain(function: Callable, inputs: list, output) -> list[Way]:
    """A function of the inputs and the output."""
    return [Way("", function, (*inputs, output))]
