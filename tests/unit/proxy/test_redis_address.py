import traceback

import pytest

from scout_proxy.cache.redis_address import RedisAddress, parse_redis_url, tls_arguments

HIDDEN = "hunter2-and-more"
ODD = "p@ss/w#"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        (" redis://cache:7000/3\n", RedisAddress(host="cache", port=7000, db=3)),
        ("redis://[::1]:7000/", RedisAddress(host="::1", port=7000)),
        ("redis://cache?db=4", RedisAddress(host="cache", db=4)),
        ("redis://:p%40ss%2Fw%23@cache", RedisAddress(host="cache", password=ODD)),
        ("redis://user:hunter2-and-more@cache", RedisAddress(host="cache", username="user", password=HIDDEN)),
        ("rediss://cache", RedisAddress(host="cache", tls={})),
        (
            "rediss://cache?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            RedisAddress(host="cache", tls={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": "false"}),
        ),
        ("unix:///run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", db=2)),
        (
            "unix://user:hunter2-and-more@/run/redis.sock",
            RedisAddress(path="/run/redis.sock", username="user", password=HIDDEN),
        ),
    ],
)
def test_a_url_is_read(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with redis://"),
        (HIDDEN, "must begin with redis://"),
        (f"http://:{HIDDEN}@cache", "must begin with redis://"),
        (f"redis:{HIDDEN}", "must begin with redis://"),
        (f"redis://:{HIDDEN}@", "names no host"),
        ("redis://", "names no host"),
        ("redis:///0", "names no host"),
        (f"redis://:{HIDDEN}@cache:0", "has no port from 1 to 65535"),
        (f"redis://:{HIDDEN}@cache:99999", "has no port from 1 to 65535"),
        (f"redis://:{HIDDEN}@cache:http", "has no port from 1 to 65535"),
        (f"redis://:{HIDDEN}#more@cache", "percent-encode special characters"),
        (f"redis://:{HIDDEN}/more@cache", "percent-encode special characters"),
        (f"redis://:{HIDDEN}?more@cache", "percent-encode special characters"),
        (f"redis://:1?{HIDDEN}@cache", "percent-encode special characters"),
        (f"redis://:[{HIDDEN}@cache", "percent-encode special characters"),
        (f"redis://:{HIDDEN}@cache/first", "names a database that is not a number"),
        (f"redis://:{HIDDEN}@cache/-1", "names a database that is not a number"),
        (f"redis://:{HIDDEN}@cache?decode_responses=true", "has an option other than db"),
        (f"redis://:{HIDDEN}@cache?ssl_ca_certs=/ca.pem", "has an option other than db"),
        (f"rediss://:{HIDDEN}@cache?ssl_cert_reqs=maybe", "has an option ssl_cert_reqs that is none of required"),
        (f"unix://:{HIDDEN}@", "names no socket"),
        ("unix:///", "names no socket"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_its_password(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_redis_url(url)

    shown = "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value.__context__)
    assert HIDDEN not in shown


def test_an_address_is_shown_without_its_secrets() -> None:
    address = parse_redis_url(f"redis://someone:{HIDDEN}@cache:7000/1")

    assert address.text == "cache:7000"
    assert parse_redis_url("unix:///run/redis.sock").text == "/run/redis.sock"
    assert HIDDEN not in repr(address)
    assert "someone" not in repr(address)


def test_what_a_server_repeats_is_shown_without_the_password() -> None:
    address = parse_redis_url(f"redis://:{HIDDEN}@cache")

    assert address.without_secrets(f"wrong password {HIDDEN}!") == "wrong password ***!"
    # Servers cut long arguments.
    assert address.without_secrets(f"unknown command 'AUTH', with args beginning with: '{HIDDEN[:5]}' ") == (
        "unknown command 'AUTH'"
    )
    assert parse_redis_url("redis://cache").without_secrets("as it is") == "as it is"


@pytest.mark.parametrize(
    ("options", "is_checked"),
    [
        ({}, True),
        ({"ssl_check_hostname": "true"}, True),
        ({"ssl_check_hostname": "false"}, False),
        ({"ssl_cert_reqs": "none"}, False),
    ],
)
def test_the_servers_name_is_checked_unless_the_url_says_otherwise(options: dict[str, str], is_checked: bool) -> None:
    assert tls_arguments(options) == {**options, "ssl_check_hostname": is_checked}
