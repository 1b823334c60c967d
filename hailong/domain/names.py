"""Names of persons in free text: after a title ("ông", "chị"), after an office ("cán bộ", "chủ tịch xã"), after "tên", "tôi là", or where
family name and "văn" or "thị" stand together.

Words that are none are told by lists: offices, places, what usually follows a title. A net, not a promise. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final


def _listed(words: str) -> frozenset[str]:
    """The words of a list; an underscore stands for the space in a pair."""
    return frozenset(words.split())


def _stripped(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_UPPER: Final = "".join(sign for sign in map(chr, (*range(0x41, 0x5B), *range(0xC0, 0x1B1), *range(0x1EA0, 0x1EFA))) if sign.isupper())
_LETTER: Final = r"[^\W\d_]"
_WORD_RUN: Final = re.compile(rf"{_LETTER}+")
_PERSON: Final = _listed("ông bà anh chị cô chú bác em thầy cậu mợ dì thím cụ mr mrs ms ong chi chu cau")
_OFFICE: Final = _listed("đ/c d/c đồng_chí dong_chi cán_bộ can_bo công_chức cong_chuc nhân_viên nhan_vien chuyên_viên chuyen_vien")
_SELF: Final = _listed(
    """họ_tên họ_và_tên tên_là tên tên_tôi_là tên_em_là tên_mình_là tên_cháu_là tôi_là toi_la toi_ten ho_ten ho_va_ten ten_la
    ten_toi_la"""
)
"""Said before much else too: only a family name, or a known given name with a capital, is a name after them."""
_NAMED: Final = re.compile(
    r"(?<!\w)(?:tôi|em|mình|cháu|anh|chị|cô|chú|bác|ông|bà|cán bộ|can bo|công chức|nhân viên|chuyên viên)\s$", re.IGNORECASE
)
"""Before "tên": then a person is named, in small letters too."""
_RUDE: Final = _listed("thằng thằng_cha con con_mụ mụ lão gã sếp tay cháu")
_SHORT: Final = _listed("a c")
_BARE: Final = _listed("ba co bac thay") | _RUDE | _SHORT
"""Other words too (three, there is, north, hand, child): titles only in small letters before a known given name with a capital."""


def _either(words: frozenset[str]) -> str:
    return "|".join(re.escape(word.replace("_", " ")) for word in sorted(words, key=len, reverse=True))


_TITLE: Final = re.compile(
    rf"(?<!\w)(?:(?P<person>{_either(_PERSON)})|(?P<office>{_either(_OFFICE)})|(?P<self>{_either(_SELF)})|(?P<bare>{_either(_BARE)}))"
    r"(?P<gap>\.?\s?:?\s+|\.\s?|\s?:)(?=\w)",
    re.IGNORECASE,
)
_LEADS: Final = _listed(
    """chủ_tịch pct giám_đốc bí_thư trưởng_phòng phó_phòng trưởng_ban phó_ban tổ_trưởng tổ_phó đội_trưởng đội_phó hiệu_trưởng hiệu_phó
    trạm_trưởng chủ_nhiệm chánh_văn_phòng thượng_úy thượng_uý trung_úy trung_uý thiếu_úy thiếu_uý đại_úy đại_uý thượng_tá trung_tá
    thiếu_tá đại_tá"""
)
"""Whose own name may follow even if it is no known one."""
_SERVES: Final = _listed(
    """công_an tư_pháp địa_chính kế_toán kế_toán_trưởng văn_thư hộ_tịch một_cửa cán_bộ công_chức viên_chức nhân_viên chuyên_viên bảo_vệ
    y_tá y_sĩ chiến_sĩ chiến_sỹ giao_dịch_viên chỉ_huy_trưởng trưởng_trạm chu_tich giam_doc bi_thu truong_phong truong_ban to_truong
    cong_an tu_phap dia_chinh ke_toan van_thu ho_tich mot_cua can_bo cong_chuc nhan_vien chuyen_vien"""
)
_BODIES: Final = _listed(
    """ubnd hđnd hdnd hội phụ_nữ nông_dân cựu_chiến_binh công_tác mặt_trận y_tế quân_sự chi_bộ đảng_ủy đảng_uỷ trung_tâm văn_phòng
    chi_nhánh đăng_ký đất_đai vpđkđđ bưu_điện tiếp_dân tiếp_nhận tn&tkq một_cửa tư_pháp địa_chính hộ_tịch"""
)
_OFFICER: Final = re.compile(
    rf"(?<!\w)(?:(?P<leads>{_either(_LEADS)})|{_either(_SERVES)}|(?:trưởng|truong)(?=\s(?:thôn|xóm|bản|khu|thon|xom|ban)\s)|ct(?=\sxã\s))"
    rf"(?P<body>(?:\s(?:{_either(_BODIES)})){{0,4}})"
    r"(?P<of>\s(?:xã|phường|thị trấn|huyện|tỉnh|thôn|xóm|bản|khu|tổ dân phố|tổ|xa|phuong|huyen|tinh|thon|xom|ban)(?:\s(?:số\s)?\d{1,2})?)?"
    rf"(?:\s?:)?\s(?={_LETTER})",
    re.IGNORECASE,
)
"""Who holds an office, in what body and of what place, before a name or before that place's own."""
_NO_HOLDER: Final = _listed("nước bo đoàn hội viện đội trạm quốc chùa tốt giỏi tệ kém thật luôn mong nhờ")
"""What stands with a capital behind an office too, and is nobody's name; Bo is a town."""
_VILLAGE: Final = _listed("thôn xóm bản khu thon xom ban")
_DOT: Final = _listed("mr mrs ms đ/c d/c")

_FAMILIES: Final = _listed(
    """nguyễn trần lê phạm hoàng huỳnh phan vũ võ đặng bùi đỗ hồ ngô dương lý đinh quách trịnh đào lương hà mai tạ phùng triệu bàn giàng
    sùng vàng lò cầm khà xa vì cao chu lưu tô kiều tống thái lâm đoàn nông ma sồng mùa thào hờ nguyen tran le pham hoang huynh vu vo
    dang bui do ho ngo duong ly dinh quach trinh luong"""
)
_FAMILIES_SMALL: Final = _listed("nguyễn trần lê phạm hoàng huỳnh phan vũ võ đặng bùi đỗ ngô dương đinh quách trịnh phùng giàng sùng tống")
"""Read in small letters too: hardly said of anything else after a title, when two words follow."""
_FAMILIES_SURE: Final = _listed("nguyễn phạm huỳnh bùi ngô quách trịnh nguyen pham huynh quach")
"""Of nothing else: one word after them is enough."""
_MIDDLE: Final = re.compile(
    r"(?<!\w)(?:nguyễn|trần|lê|phạm|hoàng|huỳnh|phan|vũ|võ|đặng|bùi|đỗ|hồ|ngô|dương|lý|đinh|quách|trịnh|đào|lương|hà|xa|lò|vì"
    rf"|nguyen|pham|huynh|quach|hoang|bui)\s(?:văn|thị|van|thi)\s(?={_LETTER})",
    re.IGNORECASE,
)
_MIDDLES: Final = _listed("văn thị van thi")
_FAMILIES_EITHER: Final = "|".join(sorted({word.title() for one in _FAMILIES for word in (one, _stripped(one))}))
_MIDDLE_CAPITAL: Final = re.compile(rf"(?<!\w)(?:{_FAMILIES_EITHER})\s(?:Văn|Thị|Van|Thi)\s(?=[{_UPPER}])")
"""More families, also without diacritics: in small letters they are other words ("gia đình vẫn", "đô thị")."""
_FULL: Final = re.compile(rf"(?<!\w)(?:Nguyễn|Bùi|Quách|Ngô|Phạm|Huỳnh|Trịnh|Đinh|Nguyen|Bui|Quach|Huynh)\s(?=[{_UPPER}])")
"""Before two more words with capitals: somebody's full name, whatever stands before it but a street's or a school's word."""
_FAMILIES_OFFICE: Final = _listed("nguyễn bùi quách trịnh huỳnh đinh nguyen quach huynh")
"""Behind an office also in small letters or in a text of capitals: no place of the province begins with them, and no ordinary word."""
_FAMILIES_WORDS: Final = _listed("hà xa lò vì hồ lý dương đào lương")
"""Words of another meaning: "vì văn phòng" is no name."""
_PLACE: Final = re.compile(
    r"(?<!\w)(?:đường|phố|phường|xã|trường|quận|thôn|xóm|công viên|cầu|ngõ|ngách|hẻm|thpt|thcs|tiểu học|mầm non|bệnh viện|tượng|đền|chùa"
    r"|quỹ|giải|duong|phuong|xa|truong|quan|thon|xom|cong vien|ngo)\s$",
    re.IGNORECASE,
)
_SEAT: Final = re.compile(rf"(?<!\w)(?:{_either(_LEADS | _SERVES)}|ubnd|hđnd|hdnd|bo phan)\s$", re.IGNORECASE)
_COMMUNE: Final = re.compile(r"(?<!\w)(?:xã|phường|thôn|xóm|xa|phuong|thon|xom|thị trấn|thi tran)\s$", re.IGNORECASE)
_GIVEN: Final = _listed(
    """anh bình chi cúc cường dung dũng duy đức hà hải hằng hạnh hiền hiếu hoa hoài hồng huệ hùng huy huyền hương khánh lan liên
    linh loan long mai mạnh minh nam nga ngân ngọc nhung oanh phúc phương quang quyên sơn tâm tân thanh thảo thắng thu thúy thủy tiến
    toàn trang trung tuấn tuyết tùng vân việt vinh xuân yến phượng hường thuỷ thuý thùy nguyệt"""
)
_GIVEN_ALONE: Final = _listed("hòa hoà kiên bách quỳnh hưng thành thuận ngát hậu đạt chiến quyết quân quý hoàng thái")
"""Names too, but with a second capital rather a place: "công an Quyết Thắng"."""
_GIVEN_SMALL: Final = _listed(
    """tuấn huyền nhung oanh quyên thủy thúy tuyết yến ngân huệ loan phượng cường khánh ngọc nga hiếu hoa lan hương
    nam minh hằng hạnh hải hà hiền thắng tùng vân vinh trang thảo sơn quang phương phúc linh huy đức duy hồng hiệp"""
)
"""Read in small letters too, after a title of a person: no other word that usually stands there."""
_GIVEN_PAIRS: Final = _listed(
    """nam_giới nam_nữ nam_tính minh_bạch minh_mẫn hạnh_phúc hạnh_kiểm hải_quan hà_nội hà_khắc hiền_lành hiền_hậu hiền_hòa hiền_hoà
    hiền_từ hiền_thục hiền_dịu thắng_kiện vân_tay vinh_dự trang_bị trang_nhã trang_trọng trang_điểm trang_phục trang_web thảo_luận
    thảo_đơn thảo_văn phương_pháp phương_án phương_tiện phương_hướng phúc_đáp phúc_tra phúc_hậu linh_hoạt linh_động đức_độ đức_tính
    duy_trì duy_nhất quang_trọng sơn_la hồng_hào hiệp_lực hiệp_hội hòa_giải hoà_giải hòa_nhã hòa_đồng thành_viên thành_phố thành_lập
    thành_thật thái_độ kiên_quyết kiên_nhẫn kiên_trì kiến_nghị kiến_thức thuận_tiện thuận_lợi hậu_cần chiến_sĩ chiến_sỹ quyết_định
    quyết_toán quyết_tâm quyết_liệt quân_sự quân_nhân quân_đội quý_vị quý_khách hoàng_thành thành_tích thành_công thuỷ_lợi thùy_mị
    đạt_chuẩn đạt_yêu hưng_phấn hậu_quả quản_lý quan_tâm quan_liêu quan_trọng quan_hệ"""
)
"""Two words of which the first is no name."""
_MOST: Final = {"thị": 3, "thi": 3}
"""Words after the family name in small letters, where the end of a name cannot be seen: 2, with these 3."""

# What follows a title, or a name, and is none.
_PLAIN_WORDS: Final = _listed(
    """ấy ơi ạ à này kia nào đó đây ta con em chị anh ông bà cô chú bác dì cậu mình tôi và hay hoặc với cùng của cho ở tại thì là có
    không chưa đã đang sẽ rất quá lắm cũng chỉ còn vẫn đều bị được phải nên làm nói bảo hỏi gọi hướng nhận trả gây yêu đi đến về ra
    vào lên xuống trong ngoài trên dưới từ như mà vì nếu khi lúc sau trước ai gì sao một hai các những mấy nhiều ít tất họ người xin
    cảm cám chào dạ vâng thưa nhé phụ tiếp xử ký nghỉ nhờ giúp hẹn đòi thu giữ tự lại mới nhiệt vui hách chậm nhanh tư hỗ trợ giải
    thích kiểm hứa bắt cấp chửi quát mắng vòi duyệt"""
)
_ROLES: Final = _listed(
    """chủ_tịch chủ_nhiệm chủ_nhà phó trưởng giám_đốc bí_thư công_an công_chức công_ty công_dân cán_bộ kế_toán tư_pháp tư_vấn địa_chính
    địa bộ ubnd hđnd trung_tâm văn_phòng văn_thư hộ hộ_tịch tiếp_nhận tiếp_dân lãnh_đạo nhân_viên nhân_dân chuyên_viên bảo_vệ bảo_hiểm
    phòng sở xã phường huyện tỉnh thôn xóm bản tổ chi_cục chi_nhánh cục ban khu quầy cửa ngành thuế hải_quan đảng đoàn_thanh đoàn_thể
    hội_đồng hội_phụ mặt giao_dịch một_cửa hành_chính nông_nghiệp nông_dân y_tế trạm thanh_tra thẩm_định đăng_ký hòa_bình hoà_bình
    phú_thọ vĩnh_phúc việt_nam mường kinh rịa hưu nội_vụ đất_đai môi_trường tài_nguyên tài_chính xây_dựng bưu_điện bưu_tá
    chu_tich giam_doc cong_an cong_chuc can_bo ke_toan tu_phap dia_chinh mot_cua trung_tam van_phong tiep_nhan nhan_vien
    chuyen_vien bao_ve chi_cuc cuc_thue hồ_sơ ho_so"""
)
_NAMES_TOO: Final = _listed("anh thu bảo tất tư mới như hai vì ký lên hướng thích vui chi nhân")
"""Of the plain words: a name when it begins with a capital."""
_WORK: Final = _listed(
    """địa_chính tư_pháp hộ_tịch tiếp_nhận tiếp_dân một_cửa kế_toán văn_thư văn_phòng công_an chủ_tịch phó trưởng_phòng
    trưởng_thôn trưởng_xóm giám_đốc bí_thư bảo_vệ thuế hải_quan nội_vụ đất_đai môi_trường tài_chính xây_dựng y_tế thẩm_định đăng_ký
    thanh_tra hành_chính văn_hóa văn_hoá lãnh_đạo nhân_viên cán_bộ công_chức chuyên_viên giáo giáo_viên hiệu_trưởng sĩ sỹ bác_sĩ y_tá
    trực"""
)
"""What people do, between a title and a name; no units and places, whose own names follow them."""
_REGIONS: Final = _listed(
    """lương_sơn mai_châu cao_phong tân_lạc lạc_sơn hà_nội hà_nam hà_giang hà_tĩnh nam_định thanh_hóa thanh_hoá hải_dương hải_phòng
    bình_dương bình_định bình_phước bình_thuận sơn_la long_an vĩnh_phúc vĩnh_long vĩnh_yên thanh_ba thanh_sơn thanh_thủy tân_sơn
    lâm_thao lâm_đồng hồ_chí thái_bình thái_nguyên hòa_bình hoà_bình ninh_bình nam_bộ trung_ương trung_quốc việt_nam việt_trì
    minh_khai phúc_yên yên_bái tuyên_quang hạnh_phúc chi_nê chi_ne hang_kia mai_hạ mai_hịch"""
)
"""Places that begin like a name."""
_PLAIN_BARE: Final = _listed(
    """ay oi nay kia nao con em chi anh ong ba toi va voi cua cho thi la co khong chua da dang se rat qua cung duoc phai lam noi bao hoi
    huong nhan tra di den ve ra vao len trong ngoai tren tu nhu ma vi neu khi cac nhung nhieu nguoi xin cam chao giup do
    pho truong phong xa phuong huyen tinh cuc thue tram"""
)
"""Without diacritics they may be names: in small letters or in a text of capitals they are not."""


def spans(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every name, in order, none within another."""
    found = sorted(
        {*_after_titles(text), *_after_offices(text), *_family_with_middle(text), *_full_names(text)}, key=lambda span: (span[0], -span[1])
    )
    at = 0
    for start, end in found:
        if start >= at:
            yield start, end
            at = end


def _after_titles(text: str) -> Iterator[tuple[int, int]]:
    for title in _TITLE.finditer(text):
        words = list(_words(text, title.end()))
        if not words or not _joined(title) or _is_place(title):
            continue
        said = [word for word, _ in words]
        work, length = 0, _name_length(title, said)
        if not length:
            work, length = _after_work(title, said)
        if length:
            word, end = words[work]
            yield end - len(word), words[work + length - 1][1]


def _is_place(title: re.Match[str]) -> bool:
    """Without diacritics "Chi" is a title, or begins a commune: "xã Chi Nê", "XÃ CHI NÊ"."""
    return title[0].startswith(("Chi", "CHI")) and _COMMUNE.search(title.string, 0, title.start()) is not None


def _after_work(title: re.Match[str], words: list[str]) -> tuple[int, int]:
    """(words that say somebody's work after the title, words of the name behind them): "cán bộ tư pháp Nguyễn Hương", "cô giáo Hà"."""
    work = 0
    while step := _work(words, work):
        work += step
    rest = words[work:]
    if not work or not rest or title["self"] is not None or title["bare"] is not None or not _is_capital(rest[0]) or _is_shouted(rest):
        return work, 0
    first, second = rest[0].lower(), rest[1] if len(rest) > 1 else ""
    if f"{first}_{second.lower()}" in _REGIONS or first in _PERSON:
        return work, 0
    if first in _FAMILIES and (first in _FAMILIES_SURE or _capitals(rest) > 1):
        return work, _capitals(rest)
    return work, _capitals(rest) if _is_given(first, second) else 0


def _work(words: list[str], place: int) -> int:
    """How many words at that place say somebody's work: 0, 1 or 2."""
    said = [_stripped(word.lower()) for word in words[place : place + 2]]
    return 2 if "_".join(said) in _WORK_BARE else 1 if said and said[0] in _WORK_BARE else 0


def _is_given(first: str, second: str) -> bool:
    """Whether a word (in small letters) is a known given name, unless the one after it, in small letters, makes another word of both."""
    pair = f"{_stripped(first)}_{_stripped(second)}"
    alone = first in _ALONE_BARE and not (second and _is_capital(second))
    return (first in _GIVEN_BARE or alone) and not (second.islower() and pair in _PAIRS_BARE)


def _after_offices(text: str) -> Iterator[tuple[int, int]]:
    """Names behind an office: "chủ tịch Khánh", "phó chủ tịch xã Đinh Công Sứ"."""
    for office in _OFFICER.finditer(text):
        words = list(_words(text, office.end()))
        length = _held(office, [word for word, _ in words])
        if length:
            yield office.end(), words[length - 1][1]


def _held(office: re.Match[str], words: list[str]) -> int:
    """How many words behind an office are who holds it.

    Behind a place's office the words may be that place's own, and "xã Mai Châu" looks like "Mai Châu", a person. A family name no place
    begins with decides, or a family name and two more words (communes have two), or one word alone (hardly a commune has one). So two
    words ("chủ tịch xã Lê Lan") stay unless the family name is sure, and a village named after a person is masked: the worse loss is small.
    """
    if not words:
        return 0
    if _is_shouted(words) or not _is_capital(words[0]):
        return _held_small(office, words)
    first, second, count = words[0].lower(), words[1] if len(words) > 1 else "", _capitals(words)
    if not count or f"{first}_{second.lower()}" in _REGIONS or first in _PERSON:
        return 0
    placed = bool(office["of"] or office["body"])
    full = first in _FAMILIES and count >= (3 if placed and first not in _FAMILIES_SURE else 2)
    known = _is_given(first, second) and (count == 1 or not placed)
    return count if full or known or (count == 1 and _is_alone(office, first, second)) else 0


def _is_alone(office: re.Match[str], first: str, second: str) -> bool:
    """Whether one word that is no known name can only be one: behind who leads, and what goes on is no part of it."""
    village = (office["of"] or "").strip().lower() in _VILLAGE
    return office["leads"] is not None and not village and not office["body"] and first not in _NO_HOLDER and _goes_on(second)


def _goes_on(word: str) -> bool:
    """Whether the sentence goes on, or ends, behind a name."""
    return not word or word in _PLAIN_WORDS


def _held_small(office: re.Match[str], words: list[str]) -> int:
    """The same where capitals tell nothing."""
    said = [word.lower() for word in words]
    if said[0] in _FAMILIES_OFFICE:
        return 3 if _small(said[1:], 2) == 2 else 0
    second = said[1] if len(said) > 1 else ""
    alone = office["leads"] is not None and not office["of"] and not office["body"] and _goes_on(second)
    return 1 if alone and (said[0] in _GIVEN_SMALL or said[0] in {"hùng", "dũng"}) and f"{said[0]}_{second}" not in _GIVEN_PAIRS else 0


def _joined(title: re.Match[str]) -> bool:
    """Whether the next word belongs to the title: a full stop ends the sentence after "chị", not after "đ/c"."""
    if title["bare"] is not None and title["bare"].lower() in _SHORT:
        return title["gap"] in {" ", "."}
    if "." in title["gap"]:
        return (title["person"] or title["office"] or "").lower() in _DOT
    return ":" not in title["gap"] or title["person"] is None


def _family_with_middle(text: str) -> Iterator[tuple[int, int]]:
    """Name without a title: family name, "văn" or "thị", given name."""
    offices = {office.end() for office in _OFFICER.finditer(text)}
    for family in (*_MIDDLE.finditer(text), *_MIDDLE_CAPITAL.finditer(text)):
        words = list(_words(text, family.end()))
        said = [word for word, _ in words]
        # After "văn" and "thị" stands a given name, even if it is another word elsewhere ("thu", "lên").
        length = max(1, _capitals(said)) if _is_capital(said[0]) and not _is_shouted(said) else 1 + _small(said[1:], 1)
        sure = family[0].lower().partition(" ")[0] not in _FAMILIES_WORDS
        # "xa Van Son" is a commune, "Xa Van Son" a person, if not behind "UBND".
        seat = family[0].startswith("xa ") or (family[0][:3].lower() == "xa " and _SEAT.search(text, 0, family.start()))
        place = seat or (family.start() not in offices and _PLACE.search(text, 0, family.start()))
        if (sure or not _is_role(said, 0)) and not place:
            yield family.start(), words[length - 1][1]


def _full_names(text: str) -> Iterator[tuple[int, int]]:
    """Family name and two more words with capitals: "Nguyễn Thu Hà"."""
    offices = {office.end() for office in _OFFICER.finditer(text)}
    for family in _FULL.finditer(text):
        words = list(_words(text, family.start()))
        count = _capitals([word for word, _ in words])
        if count > 2 and (family.start() in offices or not _PLACE.search(text, 0, family.start())):
            yield family.start(), words[count - 1][1]


def _words(text: str, start: int) -> Iterator[tuple[str, int]]:
    """The words from there on with only single spaces between, and where each ends."""
    first = start
    for word in _WORD_RUN.finditer(text, start):
        if text[start : word.start()] != ("" if start == first else " "):
            return
        yield word[0], word.end()
        start = word.end()


def _is_capital(word: str) -> bool:
    return word[0] in _UPPER


def _is_shouted(words: list[str]) -> bool:
    """Whether these are words of a text in capitals, where a capital tells nothing."""
    return len(words[0]) > 1 and words[0].isupper() and (len(words) == 1 or words[1].isupper())


def _name_length(title: re.Match[str], words: list[str]) -> int:
    """How many of the words after a title are a name."""
    first, capital = words[0].lower(), _is_capital(words[0]) and not (title[0].isupper() and _is_shouted(words))
    if title["bare"] is not None:
        return _after_bare(title, words) if capital and not _is_shouted(words) else 0
    if title["self"] is not None and first not in _FAMILIES:
        return _self_named(title, words)
    if capital and not _is_shouted(words):
        return _capitals(words)
    if first in _FAMILIES_SMALL | _FAMILIES_SURE:
        after = _small(words[1:], _MOST.get(words[1].lower(), 2) if len(words) > 1 else 0)
        return 1 + after if after >= (1 if first in _FAMILIES_SURE else 2) else 0
    small = first in _GIVEN_SMALL and f"{first}_{words[1].lower() if len(words) > 1 else ''}" not in _GIVEN_PAIRS
    return 1 if title["person"] is not None and (small or (capital and not _no_name(words, 0))) else 0


def _after_bare(title: re.Match[str], words: list[str]) -> int:
    """How many words with capitals are a name after what is a title only sometimes: "thằng Nam", "a.Hùng", "cháu Đinh Mai Hương"."""
    said, first, second, count = title["bare"], words[0].lower(), words[1] if len(words) > 1 else "", _capitals(words)
    if f"{first}_{second.lower()}" in _REGIONS or not (said.islower() or title["gap"] == "."):
        return 0
    full = said.replace(" ", "_") in _RUDE and first in _FAMILIES and count > 1
    return count if full or _is_given(first, second) else 0


def _self_named(title: re.Match[str], words: list[str]) -> int:
    """How many words after "tên", "tôi là" are a name without a family's."""
    first, second = words[0].lower(), words[1] if len(words) > 1 else ""
    if first in _PERSON or not _is_given(first, second):
        return 0
    if _is_capital(words[0]) and not _is_shouted(words):
        return _capitals(words)
    named = _NAMED.search(title.string, 0, title.start()) is not None or title["self"].lower() in {"toi ten", "tên tôi là"}
    return 1 if named and first in _GIVEN_SMALL else 0


def _capitals(words: list[str]) -> int:
    """How many words begin with a capital and go on a name."""
    count = 0
    while count < len(words) and _is_capital(words[count]) and (_last_of_full(words, count) or not _no_name(words, count)):
        count += 1
    return count


def _last_of_full(words: list[str], place: int) -> bool:
    """Whether this word ends a full name, though it is a role or a place elsewhere: "Bùi Văn Mường", "Bùi Nam Mường"."""
    if place < 2 or words[0].lower() not in _FAMILIES:
        return False
    return (place == 2 and words[1].lower() in _MIDDLES and words[place].istitle()) or words[place] in {"Mường", "Kinh"}


def _small(words: list[str], most: int) -> int:
    """How many words, up to ``most``, go on a name that has no capitals."""
    count = 0
    while count < min(most, len(words)) and not _no_name([word.lower() for word in words], count):
        count += 1
    return count


def _is_role(words: list[str], place: int) -> bool:
    word = words[place].lower()
    return word in _ROLES or (place + 1 < len(words) and f"{word}_{words[place + 1].lower()}" in _ROLES)


def _no_name(words: list[str], place: int) -> bool:
    if _is_role(words, place):
        return True
    pair = words[place : place + 2]
    if len(pair) > 1 and pair[1].islower() and "_".join(map(_stripped, map(str.lower, pair))) in _PAIRS_BARE:
        return True
    # "Thu" and "Lam" are names, "thu" and "lam" are not.
    like_a_name = words[place].istitle()
    return words[place].lower() in (_PLAIN_WORDS - _NAMES_TOO if like_a_name else _PLAIN_WORDS | _PLAIN_BARE)


_GIVEN_BARE: Final = frozenset({*_GIVEN, *map(_stripped, _GIVEN)})
_ALONE_BARE: Final = frozenset({*_GIVEN_ALONE, *map(_stripped, _GIVEN_ALONE)})
_WORK_BARE: Final = frozenset({"_".join(map(_stripped, one.split("_"))) for one in _WORK})
_PAIRS_BARE: Final = frozenset(
    {"_".join(map(_stripped, one.split("_"))) for one in _GIVEN_PAIRS} | {"huong_dan", "thu_tuc", "thu_phi", "tat_ca"}
)
