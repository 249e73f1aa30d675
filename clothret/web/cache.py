"""A least-recently-used cache with a budget."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BudgetCache(Generic[Key, Value]):
    """Values up to a total cost; the longest unused leave first. Safe from many threads."""

    def __init__(self, budget: int, cost: Callable[[Value], int]) -> None:
        self._budget = budget
        self._cost = cost
        self._spent = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def spent(self) -> int:
        """Cost of what is kept, at most the budget."""
        return self._spent

    def get(self, key: Key) -> Value | None:
        """The value, now the most recently used; None where it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep `value`, dropping others; one dearer than the whole budget is not kept."""
        cost = self._cost(value)
        with self._lock:
            old = self._values.pop(key, None)
            if old is not None:
                self._spent -= self._cost(old)
            if cost > self._budget:
                return
            self._values[key] = value
            self._spent += cost
            while self._spent > self._budget:
                _, dropped = self._values.popitem(last=False)
                self._spent -= self._cost(dropped)
