import asyncio

import pytest

from fakes.own_time import run_in_own_time
from scout_proxy.upstreams.host_addresses import HostAddresses


class Names:
    """A resolver that a test holds back; its answers say how often it was asked."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.asked = 0
        self.goes_on = asyncio.Event()
        self.failure: OSError | None = None
        if not is_held:
            self.goes_on.set()

    async def resolve(self, host: str, port: int) -> list[str]:
        assert (host, port) == ("engine", 80)
        self.asked += 1
        await self.goes_on.wait()
        if self.failure is not None:
            raise self.failure
        return [f"10.0.0.{self.asked}"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_not_asked_for(address: str) -> None:
    async def story() -> None:
        names = Names()
        assert await HostAddresses(names.resolve).find(address, 80) == [address]
        assert names.asked == 0

    run_in_own_time(story())


def test_a_name_is_asked_for_once_by_many() -> None:
    async def story() -> None:
        names = Names(is_held=True)
        addresses = HostAddresses(names.resolve)
        asking = [asyncio.create_task(addresses.find("engine", 80)) for _ in range(5)]
        await asyncio.sleep(0)
        names.goes_on.set()
        assert await asyncio.gather(*asking) == [["10.0.0.1"]] * 5
        assert await addresses.find("engine", 80) == ["10.0.0.1"]
        assert names.asked == 1

    run_in_own_time(story())


def test_one_that_gives_up_leaves_the_answer_to_the_others() -> None:
    async def story() -> None:
        names = Names(is_held=True)
        addresses = HostAddresses(names.resolve)
        first, second = (asyncio.create_task(addresses.find("engine", 80)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        names.goes_on.set()
        assert await second == ["10.0.0.1"]
        assert names.asked == 1

    run_in_own_time(story())


def test_a_name_that_is_not_known_is_asked_for_again() -> None:
    async def story() -> None:
        names = Names()
        addresses = HostAddresses(names.resolve)
        names.failure = OSError("no such name")
        with pytest.raises(OSError, match="no such name"):
            await addresses.find("engine", 80)
        names.failure = None
        assert await addresses.find("engine", 80) == ["10.0.0.2"]

    run_in_own_time(story())


def test_this_machine_knows_its_own_name() -> None:
    async def story() -> None:
        assert set(await HostAddresses().find("localhost", 80)) <= {"127.0.0.1", "::1"}

    asyncio.run(story())
