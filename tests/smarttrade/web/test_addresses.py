from __future__ import annotations

from smarttrade.web.addresses import address_of, network_of


def test_addresses_are_counted_by_who_has_them() -> None:
    assert network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert address_of(("::ffff:192.0.2.7", 80, 0, 0)) == ("192.0.2.7", 80)
    assert address_of("/run/socket") is None
