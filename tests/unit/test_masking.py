"""Free text on entry: what names or finds a person goes, what people complain about stays."""

from __future__ import annotations

import csv
import re
import unicodedata
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailong.domain.masking import LIMIT, MARKS, Masked, masked
from hailong.ports import Invalid

UNITS: Final = Path(__file__).parents[2] / "examples" / "units" / "hoa-binh.csv"
PHONE, PAPER, NUMBER, MAIL, LINK, DOSSIER, NAME = (
    MARKS[kind] for kind in ("phone", "identity", "number", "email", "link", "dossier", "name")
)

GOES: Final = [
    # numbers one can be called on
    ("Gọi lại cho tôi số 0912345678 nhé", f"Gọi lại cho tôi số {PHONE} nhé"),
    ("sđt 0912 345 678", f"sđt {PHONE}"),
    ("0912.345.678 hoặc 0987-654-321", f"{PHONE} hoặc {PHONE}"),
    ("+84 912 345 678, +84912345678", f"{PHONE}, {PHONE}"),
    ("84912345678 là số của tôi", f"{PHONE} là số của tôi"),
    ("liên hệ (+84) 91 234 56 78", f"liên hệ {PHONE}"),
    ("sdt0912345678gap Lan", f"sdt{PHONE}gap Lan"),
    ("09 12 34 56 78", PHONE),
    ("09.12.20.26.45", PHONE),
    ("0912/345/678", PHONE),
    ("máy bàn (0218) 3 856 999", f"máy bàn {PHONE}"),
    ("02183856999 không ai nghe", f"{PHONE} không ai nghe"),
    ("số cũ 01681234567", f"số cũ {PHONE}"),
    ("O912345678 gọi tôi", f"{PHONE} gọi tôi"),
    ("09l2 sai, đúng là 0912 345 6O8", f"09l2 sai, đúng là {PHONE}"),
    ("không chín một hai ba bốn năm sáu bảy tám", PHONE),
    ("0912345678 đồng ý cho gọi", f"{PHONE} đồng ý cho gọi"),
    ("０９１２３４５６７８", PHONE),
    ("٠٩١٢٣٤٥٦٧٨", PHONE),
    ("0912\u200b345\u200b678", PHONE),
    # papers, accounts
    ("CCCD 001085012345 của tôi bị ghi sai", f"CCCD {PAPER} của tôi bị ghi sai"),
    ("CMND113456789", f"CMND{PAPER}"),
    ("số 113 456 789 cấp năm 2010", f"số {PAPER} cấp năm 2010"),
    ("căn cước 001 085 012 345", f"căn cước {PAPER}"),
    ("912345678 k nghe máy", f"{PAPER} k nghe máy"),
    ("113456789 đồng chí Nam cầm", f"{PAPER} đồng chí {NAME} cầm"),
    ("stk 19034567890123 Techcombank", f"stk {NUMBER} Techcombank"),
    ("1903 4567 8901 23", NUMBER),
    ("mã số thuế 0101234567", f"mã số thuế {NUMBER}"),
    # addresses and codes
    ("mail nguyenvana@gmail.com nhé", f"mail {MAIL} nhé"),
    ("gửi về abc.def@hoabinh.gov.vn.", f"gửi về {MAIL}."),
    ("abc @ gmail . com", MAIL),
    ("abc(at)gmail.com", MAIL),
    ("xem https://dichvucong.gov.vn/x?id=1&b=2. Cảm ơn", f"xem {LINK}. Cảm ơn"),
    ("www.facebook.com/nguyen.a và zalo.me/0912345678", f"{LINK} và {LINK}"),
    ("Hồ sơ 000.00.53.H48-220921-0099 chậm", f"Hồ sơ {DOSSIER} chậm"),
    ("h28.12-250115-0042", DOSSIER),
    ("mã H28.12 250115 0042", f"mã {DOSSIER}"),
    ("mã H28-99-08-270105-9004 chậm", f"mã {DOSSIER} chậm"),
    ("000-00-53-H48-220921-0099, H28.99.08 – 270105 – 9004", f"{DOSSIER}, {DOSSIER}"),
    ("lan.nguyen (a) gmail . com", MAIL),
    ("mail lan nguyen a còng gmail chấm com nhé", f"mail {MAIL} nhé"),
    ("gui ve lan chấm nguyen a cong yahoo cham com cham vn", f"gui ve {MAIL}"),
    ("lan@gmail chấm com, hung [at] hoabinh.gov.vn, lan a còng gmail", f"{MAIL}, {MAIL}, {MAIL}"),
    ("xe 28A-123.45 đỗ chắn cổng", f"xe {NUMBER} đỗ chắn cổng"),
    ("biển số 28B1 123.45, 28-H1 234.56, 28a12345 sai, 30F-98765", f"biển số {NUMBER}, {NUMBER}, 28a12345 sai, {NUMBER}"),
    ("biển số 28H-1234", f"biển số {NUMBER}"),
    # names after titles
    ("ông Bùi Văn Mường đòi tiền", f"ông {NAME} đòi tiền"),
    ("Bùi Thị Kinh, Quách Văn Phòng, bà bùi thị xã", f"{NAME}, {NAME}, bà {NAME}"),
    ("ông Bùi Nam Mường", f"ông {NAME}"),
    ("cán bộ địa chính Hương hách dịch", f"cán bộ địa chính {NAME} hách dịch"),
    ("cán bộ tư pháp Nguyễn Hương, cán bộ Tư pháp - Hộ tịch", f"cán bộ tư pháp {NAME}, cán bộ Tư pháp - Hộ tịch"),
    ("anh công an Hùng, chị kế toán Bùi, ông phó chủ tịch Nam", f"anh công an {NAME}, chị kế toán {NAME}, ông phó chủ tịch {NAME}"),
    ("can bo dia chinh Huong gay kho", f"can bo dia chinh {NAME} gay kho"),
    ("cán bộ tên Hương, cán bộ tên hương", f"cán bộ tên {NAME}, cán bộ tên {NAME}"),
    ("cô giáo Hà, thầy giáo Sơn, bác sĩ Hùng", f"cô giáo {NAME}, thầy giáo {NAME}, bác sĩ {NAME}"),
    ("tôi tên Lan, tôi tên lan, toi ten Lan, tên tôi là Lan", f"tôi tên {NAME}, tôi tên {NAME}, toi ten {NAME}, tên tôi là {NAME}"),
    ("ông Nguyễn Văn A gây khó khăn", f"ông {NAME} gây khó khăn"),
    ("Bà Lan rất tốt, anh Tuấn Anh cũng tốt", f"Bà {NAME} rất tốt, anh {NAME} cũng tốt"),
    ("ông nguyễn văn nam làm chậm", f"ông {NAME} làm chậm"),
    ("chị bùi thị thu hà hướng dẫn nhiệt tình", f"chị {NAME} hướng dẫn nhiệt tình"),
    ("anh nam quầy 2 bảo chị minh, cô hà tiếp", f"anh {NAME} quầy 2 bảo chị {NAME}, cô {NAME} tiếp"),
    ("gặp anh trần quốc toản ở quầy 3", f"gặp anh {NAME} ở quầy 3"),
    ("anh phạm hùng không tiếp", f"anh {NAME} không tiếp"),
    ("chị hoa quầy 2 tốt", f"chị {NAME} quầy 2 tốt"),
    ("đ/c Nam, đ/c. Hùng", f"đ/c {NAME}, đ/c. {NAME}"),
    ("đồng chí Quách Công Minh", f"đồng chí {NAME}"),
    ("cán bộ Nguyễn Thị Hoa hách dịch", f"cán bộ {NAME} hách dịch"),
    ("cán bộ: Đinh Thu", f"cán bộ: {NAME}"),
    ("thầy Sơn, cô Hằng, chú Ba, bác Tư, em Mai", f"thầy {NAME}, cô {NAME}, chú {NAME}, bác {NAME}, em {NAME}"),
    ("chị Thu, anh Bảo, anh Công, chị Như", f"chị {NAME}, anh {NAME}, anh {NAME}, chị {NAME}"),
    ("Mr. John và Mrs Smith", f"Mr. {NAME} và Mrs {NAME}"),
    ("anh Giàng A Páo chờ lâu", f"anh {NAME} chờ lâu"),
    ("ông A đòi tiền", f"ông {NAME} đòi tiền"),
    ("ông bà Nguyễn Hòa", f"ông bà {NAME}"),
    ("Ông/Bà Lê Na", f"Ông/Bà {NAME}"),
    ("ÔNG NGUYỄN VĂN NAM LÀM CHẬM", f"ÔNG {NAME} LÀM CHẬM"),
    ("CHỊ HOA TỐT", f"CHỊ {NAME} TỐT"),
    ("ong Nam, chi Lan, anh Hung, ba Hoa, co Lan", f"ong {NAME}, chi {NAME}, anh {NAME}, ba {NAME}, co {NAME}"),
    ("chi Phong va anh Cuc", f"chi {NAME} va anh {NAME}"),
    ("Tôi tên là Bùi Văn Nam ở xã Kim Bôi", f"Tôi tên là {NAME} ở xã Kim Bôi"),
    ("Tôi là Đặng Hoa, dân tộc Mường", f"Tôi là {NAME}, dân tộc Mường"),
    ("Lò Văn Pánh chưa nhận được", f"{NAME} chưa nhận được"),
    ("nguyen van nam lam cham", f"{NAME} lam cham"),
    (unicodedata.normalize("NFD", "ông Nguyễn Văn Đức rất tốt"), f"ông {NAME} rất tốt"),
]

STAYS: Final = [
    "vì văn phòng đóng cửa, Vì Văn phòng đóng cửa, ở xã văn phòng khóa",
    "người Mường, người Kinh, bà con Kinh và Mường",
    "cán bộ địa chính xã Hương Sơn, công an xã Nam Sơn, cán bộ thuế Lương Sơn, cán bộ tư pháp Mai Châu",
    "cán bộ địa chính Nhiệt tình, cán bộ tiếp nhận Hướng dẫn rõ, cán bộ tư pháp Anh ấy rất tốt",
    "cô giáo mầm non, thầy cô giáo, bác sĩ giỏi, y sĩ trạm xá",
    "cán bộ địa chính minh bạch, cán bộ tên gì, tôi tên không đúng",
    "Tôi là Nam giới, tên Trang web, tên đường Hương Lộ, ghi sai tên trang và tên anh ấy",
    "mục (a) và (b), điểm a. cong ty. com chín chấm điểm",
    "điểm a cộng thêm, chấm công, chấm điểm 9",
    "phòng 28A, số nhà 28A-12, quyết định 12A-2025, QĐ 15/QĐ-UBND, giá 28.123.45",
    "thửa 28A 123, 10h30, 50k 2000 tờ, mẫu 05B-1234, 12h 123.456 đồng",
    "H28 và H28.12, mẫu H28-99",
    "anh ấy, cô ấy, chị ấy rất nhiệt tình",
    "bà con ở đây, ông bà, chị em, anh em, cô chú đều khen",
    "Bà con Mường ở đây không biết chữ",
    "Ông Bà rất vui. Anh Chị Em cũng vậy",
    "Anh Ấy Rất Nhiệt Tình",
    "Em rất cảm ơn các anh chị. Em Cảm ơn",
    "ông Chủ tịch xã, chị Kế toán, anh Công an, bà Phó phòng",
    "cán bộ Một cửa, cán bộ Tư pháp, cán bộ UBND xã, cán bộ Văn phòng",
    "CÁN BỘ RẤT NHIỆT TÌNH, CÁN BỘ THÂN THIỆN",
    "cán bộ. Tôi phải đi lại nhiều lần",
    "Cảm ơn chị. Nhà tôi ở xa",
    "chị: tốt",
    "anh đỗ xe trước cổng",
    "chị hiền lành, anh linh hoạt, cô hạnh phúc, anh phương pháp tốt, các anh nam giới",
    "cán bộ lý giải rõ ràng",
    "anh bàn giao hồ sơ cho tôi, chị cầm hồ sơ đi",
    "cô hồ hởi đón tiếp",
    "em mai quay lại lấy",
    "ghi sai tên Công ty, tên Hồ sơ và tên đường",
    "Tôi là Người dân tộc Mường, tôi là nông dân",
    "ở Ủy ban không có Giấy tờ gì",
    "xa co Tram y te, toi thay Nhan vien tot",
    "đường Nguyễn Văn Trỗi, trường Nguyễn Văn Cừ",
    "bac Ninh, bac Giang",
    "nộp 2.500.000 đồng ngày 12/3/2026 lúc 8h30",
    "phí 2.500.000.000 đồng, 1250000000đ, 1,500,000,000 VND",
    "nộp 1.250.000.000 mà không có biên lai",
    "mất 150.000 và 200.000, hết 500k",
    "diện tích 1.234.567.890 m2",
    "hẹn 12.03.2026 08:30 đến 13-03-2026 09:45",
    "12/3/2026 13/3/2026 14/3/2026",
    "các năm 2023 2024 2025 và 2019-2020-2021",
    "làm việc 07.30 11.30 13.30 17.00",
    "từ 7h30 đến 11h30, 13:30-17:00",
    "thủ tục 1.001612.000.00.00.H28 và 1.001612",
    "Nghị định 118/2025/NĐ-CP, Quyết định 766/QĐ-TTg",
    "gọi 1022 hoặc 1800 1096 không ai nghe",
    "thửa 123 tờ bản đồ 45, sổ BA 123456",
    "đi 3 lần, chờ 2 tiếng, quầy số 5, điểm 10/10",
    "số 12345678 có tám chữ số",
    "một hai ba bốn năm lần mới xong",
    "v.v. và 50% người dân ... tốt. vn",
    "họp @ xã. tôi không biết",
    "Trang web khó dùng quá!!! :((",
    "[tên] đã nói rồi",
    "",
]

OFFICERS: Final = [
    "cán bộ xã Bùi Văn Nam",
    "công an xã Hà Văn Tú",
    "tư pháp xã Đinh Thị Hoa",
    "địa chính xã Quách Văn Tám",
    "chủ tịch xã Bùi Văn Nam",
    "trưởng xóm Bùi Văn Ỉn",
    "trưởng thôn Nguyễn Thị Lan",
    "Chủ tịch Khánh",
    "giám đốc Hùng",
    "trưởng thôn Sơn",
    "bí thư Hà",
    "phó chủ tịch xã Đinh Công Sứ",
    "phó trưởng phòng Nam",
    "trưởng công an xã Dũng",
    "chu tich xa Bui Van Nam",
    "truong thon Son",
    "cong an xa Dinh Cong Su",
    "Chủ tịch UBND xã Bùi Quang Huy",
    "cán bộ một cửa xã Lan",
    "kế toán Xuân",
    "văn thư xã Quách Thị Én",
    "chu tich xa Ha Van Tu",
    "phó chủ tịch xã đinh công sứ",
    "PHÓ CHỦ TỊCH XÃ ĐINH CÔNG SỨ",
    "giám đốc hùng",
    "bí thư hà",
    "phó chủ tịch xã Mùi",
    "chủ tịch hội nông dân xã Bùi Đức Long",
    "Bí thư chi bộ Bùi Xuân Quý",
    "Chủ tịch Mặt trận Bùi Thị Lên",
    "CT xã Nguyễn Mạnh Hùng",
    "PCT Thiện",
    "đại úy Hùng",
    "chiến sĩ Khánh",
    "phó giám đốc trung tâm Bùi Thế Anh",
    "giám đốc VPĐKĐĐ Phạm Minh Tuấn",
    "chủ tịch Quách Tất Liêm",
    "trưởng thôn 5 Hùng",
    "tổ trưởng tổ dân phố số 3 Nguyễn Hoa",
    "Cán bộ tiếp nhận: Lan",
    "người tiếp nhận là Nguyễn Thu Hà",
    "sếp Tuấn",
    "thằng cha Hùng",
    "con mụ Loan",
    "cảm ơn cháu Đinh Mai Hương",
    "a Nam",
    "A.Hùng",
    "do Do Van Tam",
]
"""An office and, after it, the name of who holds it."""
PLACES: Final = [
    "trưởng thôn Tân Lập",
    "công an xã Mường Bi",
    "trưởng xóm Bưng",
    "xóm Nguyễn Văn Trỗi",
    "đường Lê Văn Tám",
    "công an Hà Nội",
    "trưởng bản Lác",
    "giám đốc Sở Xây dựng",
    "Chủ tịch UBND xã không ký",
    "trưởng phòng Tư pháp",
    "bí thư Đảng ủy",
    "cán bộ Hướng dẫn tận tình",
    "giám đốc Trung tâm Phục vụ hành chính công",
    "tư pháp Lương Sơn",
    "một cửa Mai Hạ",
    "UBND xa Van Son",
    "chủ tịch nước",
    "bảo vệ Tổ quốc",
    "ở xa Van Son",
    "xom Nguyen Van Troi",
    "XÃ CHI NÊ làm tốt",
    "gia dinh van chua nhan duoc, luong van thap, do thi hoa",
    "công an Quyết Thắng, trưởng công an Hòa Sơn",
    "Chủ tịch Hội đồng nhân dân, Chủ tịch Mặt trận Tổ quốc, Bí thư Đoàn thanh niên",
    "trung tá công an xã, viên chức Nhà nước",
    "con đường Nguyễn Huệ, con trai, tay nghề, lão nông, thằng cháu, sếp lớn",
    "trường THPT Ngô Quyền, đường Nguyễn Tất Thành",
    "mục a Minh bạch, điểm c Thu phí",
    "giám đốc minh bạch, chủ tịch nam sơn",
]
OF_PLACES: Final = ("chủ tịch xã", "công an xã", "UBND xã", "cán bộ xã", "chủ tịch UBND xã", "tư pháp xã", "trưởng thôn", "một cửa xã")


@pytest.mark.parametrize("text", OFFICERS)
def test_who_holds_an_office_is_masked_by_family_name_or_given(text: str) -> None:
    assert masked(f"{text} rất hách dịch").text.endswith(f"{NAME} rất hách dịch")
    assert masked(text).found == {"name": 1}


@pytest.mark.parametrize("text", PLACES)
def test_a_place_behind_an_office_stays(text: str) -> None:
    assert masked(text).text == text


def _unmarked(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def test_every_commune_of_the_province_stays_behind_every_office() -> None:
    with UNITS.open(encoding="utf-8-sig", newline="") as file:
        named = [row["name"] for row in csv.DictReader(file) if row["level"] == "commune"]
    communes = [re.sub(r"^(?:xã|phường|thị trấn) ", "", name, flags=re.IGNORECASE) for name in named]
    assert len(communes) > 150
    said = [f"{office} {commune}{end}" for commune in communes for office in OF_PLACES for end in ("", " làm tốt")]
    said += [_unmarked(text) for text in said if text.startswith(("chủ tịch xã", "cán bộ xã", "UBND xã", "công an xã")) or "thôn" in text]
    assert [text for text in said if masked(text).text != text] == []


@pytest.mark.parametrize(("text", "kept"), GOES)
def test_what_names_or_finds_a_person_is_masked(text: str, kept: str) -> None:
    assert masked(text).text == kept


@pytest.mark.parametrize("text", STAYS)
def test_the_rest_stays_as_it_was_written(text: str) -> None:
    assert masked(text) == Masked(text, {})


def test_enough_sentences_are_tried() -> None:
    assert len(GOES) + len(STAYS) >= 60
    assert min(len(GOES), len(STAYS)) >= 25


def test_what_was_found_is_counted_by_kind() -> None:
    found = masked("chị Lan 0912345678, anh Nam 0987654321, a@b.vn, b.vn/x, CCCD 001085012345, stk 0123456789, H28-250115-0042").found
    assert found == {"name": 2, "phone": 2, "email": 1, "link": 1, "identity": 1, "number": 1, "dossier": 1}


def test_control_signs_go_and_lines_become_one() -> None:
    assert masked("a\x00b\r\nc\td\u202e\ud800 ").text == "ab c d"


def test_letters_are_counted_composed() -> None:
    longest = "ệ" * LIMIT
    assert masked(unicodedata.normalize("NFD", longest)).text == longest


def test_a_longer_text_is_refused_without_quoting_it() -> None:
    with pytest.raises(Invalid) as refused:
        masked("bí mật " * 100)
    assert (refused.value.reason, refused.value.field) == ("too_long", "text")
    assert "bí mật" not in f"{refused.value} {refused.value.detail}"


@pytest.mark.parametrize(
    "full", ["a@b.vn " * 71, "x" * 493 + " a@b.vn", "ông A " * 83, "y" * 480 + "-0912345678-z", "ông A " * 49 + "1250000000 đồng"]
)
def test_where_marks_make_it_longer_than_the_limit_the_end_is_cut_between_words(full: str) -> None:
    kept = masked(full).text
    assert len(kept) <= LIMIT
    assert kept.count("[") == kept.count("]")
    assert masked(kept).text == kept


def test_a_text_is_not_shown() -> None:
    assert "nhiệt tình" not in repr(masked("nhiệt tình"))


SIGNS: Final = "0123456789 .,-/()@+:Oo"
WORDS: Final = [
    "ông ",
    "chủ tịch ",
    "hội ",
    "xã ",
    "thằng ",
    "a.",
    "Bùi ",
    "Hùng",
    "chị ",
    "cán bộ ",
    "Nguyễn ",
    "văn ",
    "Lan ",
    "đồng",
    "tên ",
    "là ",
    "ANH ",
    "không ",
    " [tên]",
    "\u0300",
    "\n",
]
NUMBERS: Final = ["0912", "345 678", "H28", "-250115", "12/3/2026", "2.500.000", ".vn", "http://"]
PIECES: Final = st.sampled_from([*SIGNS, *WORDS, *NUMBERS])


@given(st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=40).map("".join)))
def test_masking_again_changes_nothing_and_the_result_is_clean(text: str) -> None:
    kept = masked(text).text
    assert masked(kept) == Masked(kept, {})
    assert unicodedata.is_normalized("NFC", kept)
    assert len(kept) <= LIMIT
    assert not any(unicodedata.category(sign) in {"Cc", "Cf", "Cs"} for sign in kept)


@given(
    st.text(alphabet="0123456789", min_size=9, max_size=20),
    st.sampled_from(["", "gọi ", "(", "số:"]),
    st.sampled_from(["", " nhé", ".", ")"]),
)
def test_no_long_number_is_left(digits: str, before: str, after: str) -> None:
    assert not any(sign.isdigit() for sign in masked(before + digits + after).text)


@given(
    st.from_regex(r"0[35789]\d{8}", fullmatch=True),
    st.sampled_from([" ", ".", "-", " - ", ""]),
    st.sampled_from([(4, 3, 3), (3, 3, 4), (4, 6), (2, 2, 2, 2, 2)]),
)
def test_no_number_of_a_mobile_is_left_however_it_is_spaced(digits: str, gap: str, groups: tuple[int, ...]) -> None:
    parts, at = [], 0
    for length in groups:
        parts.append(digits[at : at + length])
        at += length
    assert masked(f"gọi {gap.join(parts)} nhé").text == f"gọi {PHONE} nhé"
