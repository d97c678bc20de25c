from __future__ import annotations

from smarttrade.session.opening import first_portion
from smarttrade.store.messages import SubscriptionSpec
from tests.fakes.candles import BTC


def test_series_are_opened_a_few_snapshots_at_a_time() -> None:
    whole = [SubscriptionSpec(BTC, snapshot=1000) for _ in range(5)]
    assert first_portion(whole, 2000) == (whole[:2], whole[2:])
    assert first_portion(whole, 500) == (whole[:1], whole[1:])
    back = [SubscriptionSpec(BTC, since=0) for _ in range(60)]
    assert first_portion(back, 2000) == (back[:20], back[20:])
    assert first_portion(back[:3], 2000) == (back[:3], [])
    assert first_portion([], 2000) == ([], [])
