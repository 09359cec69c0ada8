"""Memory that requests share: they wait for it."""

import asyncio


class MemoryBudget:
    """Bytes that requests of one event loop may hold together. What alone is larger gets them when nobody holds any."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there are so many bytes, and take them."""
        while self._held and self._held + size > self._most:
            self._freed.clear()
            await self._freed.wait()
        self._held += size

    def give_back(self, size: int) -> None:
        """Let others have them."""
        self._held -= size
        self._freed.set()
