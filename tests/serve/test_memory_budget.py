import asyncio

from maskadapter.serve.memory_budget import MemoryBudget


def test_who_asks_for_more_than_there_is_waits_until_others_give_back():
    async def run():
        budget, order = MemoryBudget(10), []

        async def use(name, size):
            await budget.take(size)
            order.append(name)

        await use("first", 6)
        waiting = [asyncio.create_task(use(name, size)) for name, size in (("second", 6), ("small", 4), ("huge", 50))]
        await asyncio.sleep(0.01)
        assert order == ["first", "small"]
        budget.give_back(6)
        await asyncio.sleep(0.01)
        assert order == ["first", "small", "second"]
        budget.give_back(4)
        await asyncio.sleep(0.01)
        assert len(order) == 3
        budget.give_back(6)
        await asyncio.wait_for(asyncio.gather(*waiting), 1)
        assert order[3:] == ["huge"]

    asyncio.run(run())
