"""The route table on its way into its volume."""

import pytest
from pydantic import field_serializer

from scout_deploy.runtimes.route_volume import serialized
from scout_proxy.route_table import Identity, RouteTable, Serving


class Interrupted(RouteTable):
    """A table during whose serialization Ctrl-C is pressed."""

    @field_serializer("profile")
    def press(self, profile: str) -> str:
        raise KeyboardInterrupt(profile)


FIELDS = {
    "revision": 1,
    "deployment": "test",
    "profile": "test",
    "identity": Identity(name="Test API", model="test"),
    "serving": Serving(model_id="test", engine="tgi"),
}


def test_ctrl_c_in_the_serializer_is_still_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt):
        serialized(Interrupted.model_validate(FIELDS))


def test_table_is_read_back_as_it_was() -> None:
    table = RouteTable.model_validate(FIELDS)

    assert RouteTable.model_validate_json(serialized(table)) == table
