"""Signing in and everything around it, as a browser sees it, on a real ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.routing import Route

from dashboard.access import Access, token_hash
from dashboard.app import build_dashboard
from dashboard.gate import OUTSIDE
from dashboard.passwords import Passwords
from dashboard.scope import Scope
from hailong.domain.access import HALF_LIFE, IDLE, LIFE, Role
from hailong.domain.units import Registry
from hailong.ports import Invalid, Retryable
from tests.dashboard.room import DISTRICT, PASSWORD, START, Browser, Fixed, People, Still
from web.pages import texts

ALERTS = [
    {
        "id": f"a-{code}", "unit": code, "kind": "below", "about": "answers", "state": "raised", "open": True,
        "raised_at": f"2026-04-0{day}T08:00:00+07:00",
        "at": f"2026-04-0{day}T08:00:00+07:00", "sentence_vi": f"câu về {code}", "sentence_en": f"sentence on {code}",
    }
    for code, day in (("C01", 1), ("C02", 2), ("C03", 1))
]  # fmt: skip
ANSWERS = {"C01": (90, 10), "C02": (40, 20), "C03": (77, 0)}


@pytest.fixture
def people(tmp_path: Path, blank: Path) -> Iterator[People]:
    made = People(tmp_path, blank)
    yield made
    made.ledger.close()


def site(people: People, **options: Any) -> Starlette:
    figures = options.pop("figures", Still(ANSWERS))
    return build_dashboard(figures, options.pop("alerts", lambda: list(ALERTS)), Fixed(), people.door, **options)


@pytest.fixture
def app(people: People) -> Starlette:
    return site(people)


@pytest.fixture
def browser(app: Starlette) -> Browser:
    return Browser(app)


# --- nothing without a session


def test_every_address_but_those_listed_asks_for_a_session(people: People) -> None:
    app = site(people, letters=lambda: [])
    paths = {route.path: route.methods or set() for route in app.routes if isinstance(route, Route)}
    assert set(paths) >= OUTSIDE
    for path, methods in paths.items():
        if path in OUTSIDE:
            continue
        for method in methods - {"HEAD"}:
            fresh = Browser(app)
            answer = fresh.get(path) if method == "GET" else fresh.post(path, {})
            if path.startswith("/api/"):
                assert answer.status_code == 401
                assert answer.json()["error"]["status"] == 401
                assert "www-authenticate" in answer.headers
            else:
                assert answer.url.path == "/sign-in", path
            assert "90,0" not in answer.text


def test_health_asks_for_nothing(browser: Browser) -> None:
    assert browser.get("/healthz").status_code == 200
    assert browser.get("/readyz").json()["dependencies"] == {"clickhouse": "ok", "ledger": "ok"}


def test_a_made_up_cookie_opens_nothing(people: People, browser: Browser) -> None:
    people.add("lan")
    for value in ("x", token_hash("x"), "'; --", "\u00e9"):
        browser.cookies.set("hailong", value.encode("ascii", "replace").decode(), domain="127.0.0.1")
        assert browser.get("/api/v1/figures").status_code == 401


# --- sign-in


def test_signing_in_and_out(people: People, browser: Browser) -> None:
    people.add("lan")
    page = browser.sign_in("  LAN ")
    assert page.url.path == "/"
    assert "Tên của lan" in page.text
    token = browser.cookies["hailong"]
    assert browser.get("/api/v1/figures").status_code == 200
    with people.ledger.read() as reader:
        assert token not in str(reader.sessions_of("lan"))
        assert reader.session(token_hash(token)) is not None
    browser.get("/")
    out = browser.submit("/sign-out")
    assert "Đã đăng xuất" in out.text
    browser.cookies.set("hailong", token, domain="127.0.0.1")
    assert browser.get("/api/v1/figures").status_code == 401
    assert [act for _, act, _ in people.trail()] == ["signed_in", "signed_out"]


def test_what_is_wrong_is_told_the_same_for_every_cause(people: People, app: Starlette) -> None:
    people.add("lan")
    people.add("gone", disabled_at=START)
    people.add("new", password=None)
    people.add("waits", failed=9, wait_until=START + timedelta(minutes=5))
    said = set()
    for login, password in (
        ("lan", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("new", ""), ("new", PASSWORD), ("waits", PASSWORD), ("<b>", PASSWORD),
        ("lan@hoabinh.example", PASSWORD),
    ):  # fmt: skip
        page = Browser(app).sign_in(login, password)
        assert page.status_code == 422
        said.add(re.sub(r'value="[^"]*"', "", page.text).replace(" autofocus", ""))
    assert len(said) == 1
    assert "Chưa đăng nhập được" in said.pop()


def test_a_login_that_nobody_has_costs_the_same_work(people: People) -> None:
    class Counting(PasswordHasher):
        work = 0

        def verify(self, *args: Any, **kw: Any) -> Any:
            Counting.work += 1
            return super().verify(*args, **kw)

    people.add("lan")
    people.add("new", password=None)
    access = Access(people.ledger, people.seal, Passwords(Counting(1, 8, 1)), lambda: people.now, people.token)
    for login in ("lan", "nobody", "new", "not a login"):
        before = Counting.work
        assert access.sign_in(login, "wrong") is None
        assert Counting.work == before + 1


def test_what_somebody_typed_as_login_stands_nowhere_in_the_ledger(people: People, browser: Browser, tmp_path: Path) -> None:
    """People type their password there."""
    browser.sign_in("mat-khau-cua-toi")
    with people.ledger.begin() as tx:
        tx.conn.exec_driver_sql("SELECT 1")
    assert all(b"mat-khau-cua-toi" not in file.read_bytes() for file in tmp_path.iterdir())


def test_after_five_wrong_tries_it_waits_longer_each_time(people: People, browser: Browser) -> None:
    people.add("lan")
    waits = []
    for _ in range(9):
        browser.sign_in("lan", "wrong")
        account = people.of("lan")
        waits.append((account.wait_until - people.now).total_seconds() if account.wait_until else 0)
        people.pass_(seconds=waits[-1])
    assert waits == [0, 0, 0, 0, 5, 10, 20, 40, 80]
    browser.sign_in("lan", "wrong")
    assert browser.sign_in("lan").status_code == 422, "the right password while it waits"
    assert people.of("lan").failed == 10, "a try while it waits does not make it longer"
    people.pass_(minutes=16)
    assert browser.sign_in("lan").url.path == "/"
    assert people.of("lan").failed == 0


def test_a_network_with_many_wrong_tries_waits(people: People, app: Starlette) -> None:
    people.add("lan")
    for n in range(30):
        assert Browser(app).sign_in(f"guess{n}").status_code == 422
    stopped = Browser(app).sign_in("lan")
    assert stopped.status_code == 429
    assert "Retry-After" in stopped.headers
    assert "Có quá nhiều lần đăng nhập sai" in stopped.text
    assert Browser(app, peer="10.0.0.7").sign_in("lan").url.path == "/", "another network is not concerned"
    people.pass_(minutes=5)
    assert Browser(app).sign_in("lan").url.path == "/"


def test_a_hash_of_older_parameters_is_made_anew(people: People, browser: Browser) -> None:
    people.add("lan")
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    with people.ledger.begin() as tx:
        tx.conn.exec_driver_sql("UPDATE accounts SET password = ?", (old,))
    browser.sign_in("lan")
    assert "t=1," in str(people.of("lan").password)


def test_letters_composed_another_way_are_the_same_password(people: People, browser: Browser) -> None:
    people.add("lan")
    assert browser.sign_in("lan", "một câu dài dễ nhớ".encode().decode()).url.path == "/"
    decomposed = "mo\u0323\u0302t ca\u0302u da\u0300i de\u0302\u0303 nho\u031b\u0301"
    assert decomposed != PASSWORD
    assert Browser(browser.app).sign_in("lan", decomposed).url.path == "/"


# --- forms are ours


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/account/password", "/account/sessions", "/account/factor/begin", "/accounts"])
@pytest.mark.parametrize("csrf", [None, "", "csrf of minh"])
def test_a_form_that_is_not_ours_changes_nothing(people: People, browser: Browser, path: str, csrf: str | None) -> None:
    people.add("lan", "administrator")
    people.add("minh", "administrator")
    people.session("minh")
    token = people.session("lan")
    browser.cookies.set("hailong", token, domain="127.0.0.1")
    before = people.trail()
    fields = {"login": "moi", "name": "Mới", "role": "viewer", "old": PASSWORD, "password": PASSWORD * 2, "again": PASSWORD * 2}
    answer = browser.post(f"{path}?lang=vi", fields | ({"csrf": csrf} if csrf is not None else {}))
    assert answer.status_code == 403
    assert "Biểu mẫu đã quá hạn" in answer.text
    assert people.trail() == before


def test_a_form_sent_by_another_site_changes_nothing(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.cookies.set("hailong", people.session("lan"), domain="127.0.0.1")
    fields = {"csrf": "csrf of lan"}
    assert browser.post("/account/sessions", fields, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.post("/account/sessions", fields, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200


# --- cookies


def test_over_tls_a_cookie_is_bound_to_this_host(people: People, app: Starlette) -> None:
    people.add("lan")
    safe = Browser(app, base="https://can-bo.example")
    safe.get("/sign-in")
    set_at = [h for k, h in safe.page.headers.items() if k == "set-cookie"]
    assert all(
        c.startswith("__Host-hailong-form=") and {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(c.split("; ")) for c in set_at
    )
    assert safe.sign_in("lan").url.path == "/"
    assert "__Host-hailong" in safe.cookies
    assert "hailong" not in {name for name in safe.cookies if not name.startswith("__Host-")}


def test_without_tls_a_cookie_is_not_readable_by_scripts_all_the_same(people: People, app: Starlette) -> None:
    people.add("lan")
    plain = Browser(app)
    plain.get("/sign-in")
    assert "HttpOnly; Path=/; SameSite=lax" in plain.page.headers["set-cookie"]
    assert "không được mã hóa" not in plain.page.text, "on the machine itself nobody listens"
    assert "không được mã hóa" in Browser(app, peer="10.0.0.7").get("/sign-in?lang=vi").text


def test_the_session_s_token_changes_at_every_sign_in(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.cookies.set("hailong", "given-by-somebody-else", domain="127.0.0.1")
    browser.sign_in("lan")
    values = [c.value for c in browser.cookies.jar if c.name == "hailong"]
    assert "given-by-somebody-else" not in values


# --- how long


def test_a_session_ends_without_use(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    for _ in range(4):
        people.pass_(minutes=29)
        assert browser.get("/api/v1/figures").status_code == 200
    people.pass_(seconds=IDLE.total_seconds())
    assert browser.get("/api/v1/figures").status_code == 401


def test_a_session_ends_after_half_a_day_however_much_it_is_used(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    for _ in range(25):
        people.pass_(minutes=28)
        browser.get("/api/v1/figures")
    assert people.now < START + LIFE
    assert browser.get("/api/v1/figures").status_code == 200
    people.pass_(minutes=20)
    assert browser.get("/api/v1/figures").status_code == 401


# --- second factor


def enrol(people: People, browser: Browser) -> str:
    """Set up a second factor through the pages; its secret."""
    browser.get("/account?lang=vi")
    browser.submit("/account/factor/begin", old=PASSWORD)
    assert browser.page.url.path == "/account/factor"
    secret = "".join(re.findall(r"<code>([A-Z2-7 ]+)</code>", browser.page.text)[0].split())
    assert 'class="qr"' in browser.page.text
    browser.submit("/account/factor", code=pyotp.TOTP(secret).at(people.now))
    assert "Đã bật bước xác thực thứ hai" in browser.page.text
    people.pass_(seconds=31)
    return secret


def test_a_second_factor_is_set_up_and_asked_for(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    secret = enrol(people, browser)
    assert secret.encode() not in bytes(people.of("lan").factor or b"")

    again = Browser(browser.app)
    assert again.sign_in("lan").url.path == "/sign-in/code"
    assert again.get("/api/v1/figures").status_code == 401, "a password alone opens nothing"
    assert again.get("/account").url.path == "/sign-in"
    again.get("/sign-in/code?lang=vi")
    half = again.cookies["hailong"]
    page = again.submit("/sign-in/code", code="000000")
    assert (page.status_code, "Mã này không đúng" in page.text) == (422, True)
    good = pyotp.TOTP(secret).at(people.now)
    assert again.submit("/sign-in/code", code=f"{good[:3]} {good[3:]}").url.path == "/"
    assert again.cookies["hailong"] != half
    assert people.trail()[-1] == ("lan", "signed_in", "account:lan")


def test_a_code_is_good_once_and_not_for_long(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    totp = pyotp.TOTP(enrol(people, browser))
    code = totp.at(people.now)
    for expected in ("/", "/sign-in/code"):
        again = Browser(browser.app)
        again.sign_in("lan")
        assert again.submit("/sign-in/code", code=code).url.path == expected
    people.pass_(seconds=90)
    assert again.submit("/sign-in/code", code=totp.at(people.now - timedelta(seconds=75))).status_code == 422
    assert again.submit("/sign-in/code", code=totp.at(people.now - timedelta(seconds=30))).url.path == "/"


def test_codes_cannot_be_tried_one_by_one(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    secret = enrol(people, browser)
    for _ in range(5):
        again = Browser(browser.app)
        again.sign_in("lan")
        again.submit("/sign-in/code", code="000000")
    assert again.submit("/sign-in/code", code=pyotp.TOTP(secret).at(people.now)).status_code == 422, "it waits"
    assert Browser(browser.app).sign_in("lan").status_code == 422, "and the password does not start anew"
    people.pass_(seconds=HALF_LIFE.total_seconds())
    assert again.get("/sign-in/code").url.path == "/sign-in", "half a sign-in does not last"


def test_who_operates_cannot_give_the_second_factor_up(people: People, app: Starlette) -> None:
    roles: tuple[tuple[str, Role, bool], ...] = (("lan", "viewer", False), ("minh", "operator", True))
    for login, role, kept in roles:
        people.add(login, role)
        browser = Browser(app)
        browser.sign_in(login)
        enrol(people, browser)
        browser.get("/account?lang=vi")
        assert ("/account/factor/remove" in browser.page.text) is not kept
        csrf = re.findall(r'name="csrf" value="([^"]+)"', browser.page.text)[0]
        browser.post("/account/factor/remove?lang=vi", {"csrf": csrf, "old": PASSWORD})
        assert (people.of(login).factor is not None) is kept


def test_a_second_factor_is_set_up_only_with_the_password(people: People, browser: Browser) -> None:
    people.add("lan")
    browser.sign_in("lan")
    browser.get("/account?lang=vi")
    assert browser.submit("/account/factor/begin", old="wrong").status_code == 422
    assert "Mật khẩu hiện tại không đúng" in browser.page.text
    assert people.of("lan").factor_pending is None


# --- one-time links, passwords


def test_the_first_administrator_begins_with_a_link(people: People, browser: Browser) -> None:
    made = people.administration.first("cli:root")
    assert made is not None
    login, token = made
    page = browser.get(f"/welcome/{token}?lang=vi")
    assert f"Tên đăng nhập là {login}" in page.text
    for password, again, said in (
        ("ngắn", "ngắn", "ít nhất 12"), ("mật khẩu dài một", "mật khẩu dài hai", "không giống nhau"), ("a" * 12, "a" * 12, "5 ký tự"),
        ("quản trị admin 1", "quản trị admin 1", "chứa tên đăng nhập"), ("a" * 300, "a" * 300, "quá dài"),
    ):  # fmt: skip
        page = browser.submit("", password=password, again=again)
        assert page.status_code == 422
        assert said in page.text
    page = browser.submit("", password=PASSWORD, again=PASSWORD)
    assert "Đã đặt mật khẩu" in page.text
    assert browser.sign_in(login).url.path == "/"
    assert browser.get(f"/welcome/{token}").status_code == 410, "once"
    assert people.administration.first("cli:root") is None
    assert people.administration.first("cli:root", again=True) is not None
    assert [act for _, act, _ in people.trail()][:5] == ["account_made", "link_made", "link_used", "password_set", "signed_in"]


def test_a_link_ends_after_a_day_and_is_not_used_up_by_looking(people: People, browser: Browser) -> None:
    _, token = people.administration.first("cli:root") or ("", "")
    for _ in range(3):
        assert browser.get(f"/welcome/{token}").status_code == 200
    people.pass_(hours=24)
    page = browser.get(f"/welcome/{token}?lang=vi")
    assert (page.status_code, "không còn dùng được" in page.text) == (410, True)


def test_a_link_made_anew_voids_the_one_before(people: People, browser: Browser) -> None:
    tokens = [(people.administration.first("cli:root") or ("", ""))[1] for _ in range(2)]
    assert [browser.get(f"/welcome/{token}").status_code for token in tokens] == [410, 200]


def test_a_changed_password_ends_the_other_sessions(people: People, browser: Browser) -> None:
    people.add("lan")
    other = people.session("lan")
    browser.sign_in("lan")
    browser.get("/account?lang=vi")
    assert (
        browser.submit("/account/password", old="wrong", password="một câu khác dài hơn", again="một câu khác dài hơn").status_code == 422
    )
    browser.submit("/account/password", old=PASSWORD, password="một câu khác dài hơn", again="một câu khác dài hơn")
    assert "Đã đổi mật khẩu" in browser.page.text
    assert people.access.who(other) is None
    assert Browser(browser.app).sign_in("lan").status_code == 422
    assert Browser(browser.app).sign_in("lan", "một câu khác dài hơn").url.path == "/"


def test_other_sessions_are_shown_and_ended(people: People, browser: Browser) -> None:
    people.add("lan")
    other = people.session("lan")
    browser.sign_in("lan")
    browser.get("/account?lang=vi")
    assert browser.page.text.count("đăng nhập lúc") == 2
    browser.submit("/account/sessions")
    assert people.access.who(other) is None
    assert "trình duyệt này" in browser.page.text


# --- administration


@pytest.fixture
def chief(people: People, browser: Browser) -> Browser:
    people.add("chief", "administrator")
    browser.sign_in("chief")
    browser.get("/accounts?lang=vi")
    return browser


def test_an_administrator_adds_an_account_and_sees_its_link_once(people: People, chief: Browser) -> None:
    page = chief.submit("/accounts", login="Xa-01", name="Cán bộ Xã 01", role="unit_officer", scope="C01")
    (link,) = re.findall(r"https://can-bo\.example(/welcome/[\w-]+)", page.text)
    assert "no-store" in page.headers["cache-control"]
    assert link not in chief.get("/accounts?lang=vi").text
    fresh = Browser(chief.app)
    fresh.get(f"{link}?lang=vi")
    fresh.submit("", password=PASSWORD, again=PASSWORD)
    assert "Xã 01" in fresh.sign_in("xa-01").text
    account = people.of("xa-01")
    assert (account.role, account.scope, account.name) == ("unit_officer", "C01", "Cán bộ Xã 01")
    assert ("chief", "account_made", "account:xa-01") in people.trail()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"login": "a b"}, "Tên đăng nhập chỉ gồm"),
        ({"login": "chief"}, "đã có"),
        ({"login": "moi", "name": " "}, "họ tên hoặc chức danh"),
        ({"login": "moi", "name": "x" * 81}, "quá 80"),
        ({"login": "moi", "role": "king"}, "một vai trò"),
        ({"login": "moi", "role": "unit_officer"}, "cần có phạm vi"),
        ({"login": "moi", "scope": "C99"}, "Không có đơn vị này"),
    ],
)
def test_an_account_that_cannot_be_made_is_told_why(people: People, chief: Browser, fields: dict[str, str], said: str) -> None:
    login = fields.pop("login")
    page = chief.post("/accounts?lang=vi", {**last_form(chief), "name": "Mới", "login": login, **fields})
    assert page.status_code == 422
    assert said in page.text
    assert len(people.administration.accounts()) == 1


def last_form(browser: Browser) -> dict[str, str]:
    return {"csrf": re.findall(r'name="csrf" value="([^"]+)"', browser.page.text)[0], "role": "viewer", "scope": ""}


def test_a_disabled_account_is_out_at_once(people: People, chief: Browser) -> None:
    people.add("lan")
    token = people.session("lan")
    assert people.access.who(token) is not None
    chief.get("/accounts?lang=vi")
    chief.submit("/accounts/disable", of="lan")
    assert "Đã khóa tài khoản" in chief.page.text
    assert people.access.who(token) is None
    assert Browser(chief.app).sign_in("lan").status_code == 422
    chief.submit("/accounts/enable", of="lan")
    assert Browser(chief.app).sign_in("lan").url.path == "/"


def test_a_reset_ends_the_old_password_and_on_wish_the_second_factor(people: People, chief: Browser) -> None:
    people.add("lan", factor=people.seal.seal(b"JBSWY3DPEHPK3PXP", "lan"))
    token = people.session("lan")
    chief.get("/accounts?lang=vi")
    chief.submit("/accounts/reset", of="lan")
    assert "/welcome/" in chief.page.text
    assert people.access.who(token) is None
    assert (people.of("lan").password, people.of("lan").factor is None) == (None, False)
    chief.get("/accounts?lang=vi")
    chief.submit("/accounts/reset", of="lan", without_factor="1")
    assert people.of("lan").factor is None
    assert ("chief", "factor_removed", "account:lan") in people.trail()


def test_another_role_or_scope_holds_at_once_and_ends_sessions(people: People, chief: Browser) -> None:
    people.add("lan")
    token = people.session("lan")
    chief.get("/accounts?lang=vi")
    chief.submit("/accounts/change", of="lan", role="unit_officer", scope="C01")
    assert "Đã lưu thay đổi" in chief.page.text
    assert (people.of("lan").role, people.of("lan").scope) == ("unit_officer", "C01")
    assert people.access.who(token) is None


def test_somebody_must_be_left_who_administers(people: People, chief: Browser) -> None:
    people.add("second", "administrator", password=None)
    for work in (people.administration.disable, people.administration.reset):
        with pytest.raises(Invalid, match="self"):
            work("chief", "chief")
    with pytest.raises(Invalid, match="last_administrator"):
        people.administration.disable("chief", "second")
    people.add("third", "administrator")
    people.administration.disable("chief", "third")
    assert people.of("chief").disabled_at is not None


@pytest.mark.parametrize("role", ["viewer", "unit_officer", "quality_officer", "operator"])
def test_others_see_nothing_of_accounts(people: People, browser: Browser, role: Any) -> None:
    people.add("lan", role, "C01")
    page = browser.sign_in("lan")
    assert "/accounts" not in page.text
    assert browser.get("/accounts").status_code == 403
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
    for path in ("/accounts", "/accounts/change", "/accounts/disable", "/accounts/enable", "/accounts/reset"):
        fields = {"csrf": csrf, "login": "lan", "role": "administrator", "name": "x", "scope": ""}
        assert browser.post(path, fields).status_code == 403
    assert people.of("lan").role == role


# --- scope


def shown_to(people: People, role: Any, scope: str | None, **options: Any) -> tuple[Any, Any, str]:
    """(figures, alerts, page) as an account of this role and scope sees them."""
    login = f"{role.replace('_', '-')}-{scope or 'all'}".lower()
    people.add(login, role, scope)
    browser = Browser(site(people, **options))
    page = browser.sign_in(login).text
    return browser.get("/api/v1/figures").json(), browser.get("/api/v1/alerts").json(), page


@pytest.mark.parametrize(("scope", "units"), [(None, ["C01", "C02", "C03"]), ("D1", ["C01", "C02"]), ("C03", ["C03"]), ("X9", [])])
def test_everybody_sees_their_own_subtree_only(people: People, scope: str | None, units: list[str]) -> None:
    figures, alerts, page = shown_to(people, "viewer", scope)
    assert [row["unit"] for row in figures["rows"]] == units
    assert sorted(a["unit"] for a in alerts) == units
    assert figures["total"]["ended"] == sum(sum(ANSWERS[code]) for code in units)
    for code in ANSWERS:
        assert (f"Câu về {code}" in page) == (code in units)
        assert (f'id="u-{code}"' in page) == (code in units)


def test_no_address_widens_the_scope(people: People) -> None:
    people.add("lan", "viewer", "C03")
    browser = Browser(site(people))
    browser.sign_in("lan")
    for query in ("scope=", "scope=D1", "unit=C01", "within=D1", "level=commune", "from=2026-01"):
        rows = browser.get(f"/api/v1/figures?{query}").json()["rows"]
        assert {row["unit"] for row in rows} <= {"C03"}


def test_two_scopes_of_one_site_never_share_a_view(people: People) -> None:
    people.add("all")
    people.add("one", "viewer", "C03")
    app = site(people)
    seen = []
    for login in ("all", "one", "all", "one"):
        browser = Browser(app)
        browser.sign_in(login)
        seen.append(len(browser.get("/api/v1/figures").json()["rows"]))
    assert seen == [3, 1, 3, 1]


def test_a_desk_hears_of_an_alert_the_morning_after(people: People) -> None:
    """C02's was raised today."""
    _, office, _ = shown_to(people, "quality_officer", "D1")
    _, desk, page = shown_to(people, "unit_officer", "D1")
    assert sorted(a["unit"] for a in office) == ["C01", "C02"]
    assert [a["unit"] for a in desk] == ["C01"]
    assert "Chỉ gồm Huyện Một" in page


@pytest.mark.parametrize(
    ("role", "unit", "audience"),
    [("quality_officer", None, "office"), ("quality_officer", "D1", "units"), ("unit_officer", "C01", "units"), ("viewer", None, "units")],
)
def test_only_the_office_sees_exact_figures(role: Any, unit: str | None, audience: str) -> None:
    assert Scope.of(role, unit).audience == audience


def test_a_unit_the_registry_has_lost_is_seen_by_its_own_scope_only() -> None:
    registry = Registry(DISTRICT)
    assert Scope("C77").holds("C77", registry, START.date())
    assert not Scope("D1").holds("C77", registry, START.date())
    assert Scope().holds("C77", registry, START.date())


# --- pages


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_page_is_whole_without_script_and_closes_its_tags(people: People, app: Starlette, language: str) -> None:
    people.add("chief", "administrator")
    browser = Browser(app)
    token = people.administration.reset("chief", "cli:root")
    pages = [browser.get(f"/welcome/{token}?lang={language}"), browser.get(f"/welcome/x?lang={language}")]
    people.access.set_password(token, PASSWORD)
    pages.append(browser.get(f"/sign-in?lang={language}"))
    browser.sign_in("chief")
    pages += [browser.get(f"{path}?lang={language}") for path in ("/", "/account", "/accounts")]
    pages.append(browser.submit("/accounts", login="moi", name="Mới", role="viewer", scope=""))
    browser.get(f"/account?lang={language}")
    pages.append(browser.submit("/account/factor/begin", old=PASSWORD))
    assert [page.status_code for page in pages] == [200, 410, 200, 200, 200, 200, 200, 200]
    for page in pages:
        assert f'<html lang="{language}">' in page.text
        assert "<script" not in page.text
        assert not re.search(r'\s(style|on\w+)="', page.text)
        assert len(re.findall(r"<(?:form|section|details|label|ul|ol|svg)\b", page.text)) == len(
            re.findall(r"</(?:form|section|details|label|ul|ol|svg)>", page.text)
        )
        assert all('name="csrf"' in form for form in re.findall(r'<form [^>]*method="post".*?</form>', page.text, re.S))


def test_both_languages_say_everything() -> None:
    texts(Path("dashboard/texts/access"))


def test_where_the_ledger_is_away_the_page_says_so(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    people.add("lan")
    browser = Browser(site(people))
    browser.sign_in("lan")

    def away(*_: Any) -> Any:
        raise Retryable("the ledger cannot be used now", 3)

    broken = site(people)
    people.access.ledger = type("Away", (), {"read": away, "begin": away})()
    later = Browser(broken)
    later.cookies = browser.cookies
    answer = later.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


def test_only_this_machine_where_that_is_wished(people: People) -> None:
    people.add("lan")
    closed = site(people, loopback_only=True)
    assert Browser(closed).sign_in("lan").url.path == "/"
    for options in ({"peer": "10.0.0.7"}, {"base": "http://evil.example"}):
        for path in ("/", "/sign-in", "/welcome/x", "/api/v1/figures"):
            assert Browser(closed, **options).get(path).status_code == 403
    assert Browser(closed).get("/sign-in", **{"X-Forwarded-For": "10.0.0.7"}).status_code == 403
