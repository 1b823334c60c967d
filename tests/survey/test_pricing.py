"""Segments agree with a count of their own; prices are those of the day, the provider and the operator."""

from __future__ import annotations

import unicodedata
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hailong.ports import Invalid
from ops.ways import PRICES
from surveys.messages.pricing import PriceList, abroad, counted, prices, segments

ON = date(2026, 3, 12)
# 3GPP TS 23.038 §6.2.1: the default alphabet by columns, without the escape; and its extension table, two septets each.
BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = set("\f^{}\\[~]|€")
assert len(BASIC) == 127


def by_hand(text: str) -> int:
    """Segments by TS 23.040: one of 140 octets, or several of 134, in which neither an escape pair nor a surrogate pair is parted."""
    letters = list(unicodedata.normalize("NFC", text))
    if all(c in BASIC or c in EXTENSION for c in letters):
        costs, one, each = [2 if c in EXTENSION else 1 for c in letters], 160, 153
    else:
        costs, one, each = [len(c.encode("utf-16-be")) // 2 for c in letters], 70, 67
    if sum(costs) <= one:
        return 1
    parts, room = 1, each
    for cost in costs:
        if cost > room:
            parts, room = parts + 1, each
        room -= cost
    return parts


LETTERS = st.one_of(
    st.sampled_from("abcXYZ 019.:/@_èé"), st.sampled_from("€^{}[]~|\\"), st.sampled_from("ếộữàđĐ–’“…"), st.sampled_from("😀𠀀"),
    st.characters(exclude_categories=("Cs", "Cc")),
)  # fmt: skip


@given(st.one_of(st.text(st.sampled_from("ab1 €{]é"), min_size=1, max_size=480), st.text(LETTERS, min_size=1, max_size=300)))
@example("a" * 152 + "€" + "a" * 152)
@example("a" * 159 + "€")
@example("ế" * 66 + "😀" + "ế" * 66)
def test_segments_agree_with_a_count_by_hand(text: str) -> None:
    assert segments(text) == counted(text).segments == by_hand(text)


@pytest.mark.parametrize(
    ("text", "count"), [("a" * 160, 1), ("a" * 161, 2), ("ế" * 70, 1), ("ế" * 71, 2), ("€" * 80, 1), ("€" * 81, 2), ("a" * 69 + "đ", 1)]
)
def test_segments_are_counted_as_carriers_do(text: str, count: int) -> None:
    assert segments(text) == count


@given(st.text(alphabet="ếộữàsx ", max_size=200))
def test_composed_and_decomposed_text_cost_the_same(text: str) -> None:
    assert segments(unicodedata.normalize("NFD", text)) == segments(text)


@pytest.mark.parametrize(
    ("text", "letter", "at", "instead"),
    [
        ("goi “1022", "“", 5, '"'), ("a–b", "–", 2, "-"), ("a\u00a0b", "\u00a0", 2, " "),
        ("Đa tra", "Đ", 1, "D"), ("ho sơ", "ơ", 5, "o"), ("ok😀", "😀", 3, ""),
    ],
)  # fmt: skip
def test_a_single_odd_letter_is_told_with_its_place_and_what_to_put_there(text: str, letter: str, at: int, instead: str) -> None:
    count = counted(text)
    (odd,) = count.odd
    assert (count.encoding, odd.letter, odd.at, odd.instead) == ("UCS-2", letter, at, instead)
    assert "makes the whole message UCS-2" in str(odd)
    assert (f"Put {instead!r} there" if instead else "Take it out") in str(odd)


def test_a_text_in_diacritics_is_not_nagged_about() -> None:
    assert counted("Mời Ông/Bà đánh giá").odd == ()
    assert counted("Moi Ong/Ba").odd == ()
    assert (counted("€").units, counted("€").encoding, counted("😀").units) == (2, "GSM-7", 2)


# --- prices

LIST = """
[operators]
viettel = ["098", "032"]
mobifone = ["090"]
[[tariffs]]
channel = "sms"
provider = "gw"
valid_from = 2026-01-01
per = "segment"
source = "contract 7"
default = 800
operators = { viettel = 700, mobifone = 900 }
abroad = { "+82" = 1400, "+8" = 3000, "+856" = 2200, "+86" = 5000, other = 5000 }
[[tariffs]]
channel = "sms"
provider = "gw"
valid_from = 2026-07-01
per = "segment"
source = "contract 8"
default = 850
[[tariffs]]
channel = "zns"
provider = "zns"
valid_from = 2026-01-01
per = "message"
source = "contract 9"
default = 300
"""


def listed(folder: Path, text: str = LIST) -> PriceList:
    (folder / "prices.toml").write_text(text)
    return prices(folder / "prices.toml")


@pytest.mark.parametrize(
    ("to", "segments", "on", "price"),
    [
        ("+84981234567", 1, ON, 700), ("0981234567", 3, ON, 2100), ("84321234567", 1, ON, 700), ("090", 2, ON, 1800),
        ("0561234567", 1, ON, 900), (None, 1, ON, 900), (None, 2, date(2026, 7, 1), 1700), ("0981234567", 1, date(2026, 6, 30), 700),
        ("0981234567", 0, ON, 700), ("+84981234567", 1, date(2026, 7, 1), 850),
        ("+821012345678", 1, ON, 1400), ("00821012345678", 2, ON, 2800), ("821012345678", 1, ON, 1400), ("+8562055512345", 1, ON, 2200),
        ("+8613912345678", 1, ON, 5000), ("+14155550100", 3, ON, 15000), ("+82", 1, ON, 1400),
    ],
)  # fmt: skip
def test_a_price_is_that_of_operator_and_day_and_the_dearest_when_the_operator_is_not_known(
    to: str | None, segments: int, on: date, price: int, tmp_path: Path
) -> None:
    assert listed(tmp_path).price("sms", "gw", to, segments, on) == price


@pytest.mark.parametrize("to", ["+4915112345678", "+821012345678", "00821012345678", "14155550100"])
def test_a_number_abroad_without_a_stated_price_has_none_and_never_that_of_a_number_at_home(to: str, tmp_path: Path) -> None:
    partly = LIST.replace(', "+8" = 3000', "").replace(', "+86" = 5000, other = 5000', "").replace('"+82" = 1400, ', "")
    with pytest.raises(Invalid, match="no_price_abroad") as refused:
        listed(tmp_path, partly).price("sms", "gw", to, 1, ON)
    assert "gw has no price for numbers of that country" in refused.value.detail
    assert "until then it writes to none of them" in refused.value.detail
    assert to not in refused.value.detail
    with pytest.raises(Invalid, match="no_price_abroad"):
        listed(tmp_path).price("sms", "gw", to, 1, date(2026, 7, 1))


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("+84981234567", None), ("0981234567", None), ("84981234567", None), ("0084981234567", None), (None, None), ("", None),
        ("+82 10-1234", "+82101234"), ("0082101234", "+82101234"), ("4915112345678", "+4915112345678"),
    ],
)  # fmt: skip
def test_which_numbers_are_of_another_country(number: str | None, kept: str | None) -> None:
    assert abroad(number) == kept


def test_the_list_of_the_house_prices_every_country_where_it_can_be_written_to_and_none_where_not() -> None:
    house = prices(PRICES)
    at_home = house.price("sms", "twilio", None, 1, ON)
    assert house.price("sms", "twilio", "+14155550100", 1, ON) > at_home
    for tariff in house.tariffs:
        if tariff.provider != "twilio":
            assert tariff.abroad == {}


def test_zns_is_paid_by_the_message(tmp_path: Path) -> None:
    assert listed(tmp_path).price("zns", "zns", None, 4, ON) == 300


@pytest.mark.parametrize(("provider", "on"), [("other", ON), ("gw", date(2025, 12, 31))])
def test_an_unknown_price_is_a_refusal_and_never_zero(provider: str, on: date, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="price_unknown") as refused:
        listed(tmp_path).price("sms", provider, None, 1, on)
    assert provider in refused.value.detail
    assert "[[tariffs]]" in refused.value.detail


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('["090"]', '["098"]', r"operators.mobifone: 098 is no prefix like 098, or stands twice"),
        ('["090"]', '["90"]', r"operators.mobifone: 90 is no prefix"),
        ("viettel = 700", "nokia = 700", r"tariffs\[0\].operators.nokia: no such operator"),
        ("2026-07-01", "2026-01-01", r"tariffs\[0\]: a second tariff of gw from 2026-01-01"),
        ("default = 300", "default = -1", r"tariffs\[2\]: a price below zero"),
        ('"contract 9"', '" "', r"tariffs\[2\].source: empty"),
        ('per = "message"', 'per = "year"', r"prices.toml: Invalid enum value"),
        ("default = 300", "price = 300", r"prices.toml: .*price"),
        ('"+82"', '"82"', r"tariffs\[0\].abroad.82: no prefix of another country like \+82, nor other"),
        ('"+82"', '"+849"', r"tariffs\[0\].abroad.\+849: no prefix of another country"),
        ("other = 5000", "other = -1", r"tariffs\[0\]: a price below zero"),
    ],
)
def test_a_price_list_that_cannot_be_used_says_where_and_why(was: str, becomes: str, told: str, tmp_path: Path) -> None:
    assert was in LIST
    with pytest.raises(ValueError, match=told):
        listed(tmp_path, LIST.replace(was, becomes))


def test_the_list_of_the_house_is_an_example_and_knows_every_mobile_prefix() -> None:
    house = prices(PRICES)
    assert {t.source for t in house.tariffs} == {"example, replace by your contract"}
    mobile = {
        f"0{n}" for n in [32, 33, 34, 35, 36, 37, 38, 39, 52, 55, 56, 58, 59, 70, *range(76, 80), *range(81, 90), *range(90, 100)]
    } - {"095"}
    assert set(house.prefixes) == mobile
    assert house.operator("+84 98 123 45 67") == "viettel"
    assert house.operator("02183 852 000") is None
