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
_BARE: Final = _listed("ba co bac thay")
"""Other words too (three, there is, north, to change): titles only in small letters before a known given name with a capital."""


def _either(words: frozenset[str]) -> str:
    return "|".join(re.escape(word.replace("_", " ")) for word in sorted(words, key=len, reverse=True))


_TITLE: Final = re.compile(
    rf"(?<!\w)(?:(?P<person>{_either(_PERSON)})|(?P<office>{_either(_OFFICE)})|(?P<self>{_either(_SELF)})|(?P<bare>{_either(_BARE)}))"
    r"(?P<gap>\.?\s?:?\s+|\.\s?|\s?:)(?=\w)",
    re.IGNORECASE,
)
_SERVES: Final = _listed(
    """chủ_tịch giám_đốc bí_thư trưởng_phòng trưởng_ban tổ_trưởng hiệu_trưởng công_an tư_pháp địa_chính kế_toán văn_thư hộ_tịch một_cửa
    cán_bộ công_chức nhân_viên chuyên_viên bảo_vệ chu_tich giam_doc bi_thu truong_phong truong_ban to_truong cong_an tu_phap dia_chinh
    ke_toan van_thu ho_tich mot_cua can_bo cong_chuc nhan_vien chuyen_vien"""
)
_OFFICER: Final = re.compile(
    rf"(?<!\w)(?:{_either(_SERVES)}|(?:trưởng|truong)(?=\s(?:thôn|xóm|bản|khu|thon|xom|ban)\s))(?:\s(?:ubnd|hđnd|hdnd))?"
    rf"(?P<of>\s(?:xã|phường|thị trấn|huyện|tỉnh|thôn|xóm|bản|khu|xa|phuong|huyen|tinh|thon|xom|ban))?\s(?={_LETTER})",
    re.IGNORECASE,
)
"""Who holds an office, and of what, before a name or before that place's own."""
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
_FAMILIES_WORDS: Final = _listed("hà xa lò vì hồ lý dương đào lương")
"""Words of another meaning: "vì văn phòng" is no name."""
_PLACE: Final = re.compile(r"(?<!\w)(?:đường|phố|phường|xã|trường|quận|thôn|xóm|công viên|cầu)\s$", re.IGNORECASE)
_SEAT: Final = re.compile(rf"(?<!\w)(?:{_either(_SERVES)}|ubnd|hđnd|hdnd|bo phan)\s$", re.IGNORECASE)
_COMMUNE: Final = re.compile(r"(?<!\w)(?:xã|thôn|xóm|xa|thon|xom|thị trấn|thi tran)\s$", re.IGNORECASE)
_GIVEN: Final = _listed(
    """anh bình chi cúc cường dung dũng duy đức hà hải hằng hạnh hiền hiếu hoa hoài hồng huệ hùng huy huyền hương khánh lan liên
    linh loan long mai mạnh minh nam nga ngân ngọc nhung oanh phúc phương quang quyên sơn tâm tân thanh thảo thắng thu thúy thủy tiến
    toàn trang trung tuấn tuyết tùng vân việt vinh xuân yến"""
)
_GIVEN_SMALL: Final = _listed(
    """tuấn huyền nhung oanh quyên thủy thúy tuyết yến ngân huệ loan phượng cường khánh ngọc nga hiếu hoa lan hương
    nam minh hằng hạnh hải hà hiền thắng tùng vân vinh trang thảo sơn quang phương phúc linh huy đức duy hồng hiệp"""
)
"""Read in small letters too, after a title of a person: no other word that usually stands there."""
_GIVEN_PAIRS: Final = _listed(
    """nam_giới nam_nữ nam_tính minh_bạch minh_mẫn hạnh_phúc hạnh_kiểm hải_quan hà_nội hà_khắc hiền_lành hiền_hậu hiền_hòa hiền_hoà
    hiền_từ hiền_thục hiền_dịu thắng_kiện vân_tay vinh_dự trang_bị trang_nhã trang_trọng trang_điểm trang_phục trang_web thảo_luận
    thảo_đơn thảo_văn phương_pháp phương_án phương_tiện phương_hướng phúc_đáp phúc_tra phúc_hậu linh_hoạt linh_động đức_độ đức_tính
    duy_trì duy_nhất quang_trọng sơn_la hồng_hào hiệp_lực"""
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
    thích kiểm"""
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
_NAMES_TOO: Final = _listed("anh thu bảo tư mới như hai vì ký lên hướng thích vui chi nhân")
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
    found = sorted({*_after_titles(text), *_after_offices(text), *_family_with_middle(text)}, key=lambda span: (span[0], -span[1]))
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
    """Without diacritics "Chi" is a title, or begins a commune: "xã Chi Nê"."""
    return title[0].startswith("Chi") and _COMMUNE.search(title.string, 0, title.start()) is not None


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
    return first in _GIVEN_BARE and not (second.islower() and pair in _PAIRS_BARE)


def _after_offices(text: str) -> Iterator[tuple[int, int]]:
    """Names behind an office: "chủ tịch Khánh", "phó chủ tịch xã Đinh Công Sứ". Behind a commune's or village's office the name may be that
    place's: there it takes a family name and two more words, or one given name alone. A village named after a person is masked too."""
    for office in _OFFICER.finditer(text):
        words = list(_words(text, office.end()))
        said = [word for word, _ in words]
        if not said or not _is_capital(said[0]) or _is_shouted(said) or _no_name(said, 0):
            continue
        first, second, count = said[0].lower(), said[1] if len(said) > 1 else "", _capitals(said)
        if f"{first}_{second.lower()}" in _REGIONS or first in _PERSON:
            continue
        full = first in _FAMILIES and count >= (3 if office["of"] and first not in _FAMILIES_SURE else 2)
        if full or (_is_given(first, second) and (count == 1 or not office["of"])):
            yield office.end(), words[count - 1][1]


def _joined(title: re.Match[str]) -> bool:
    """Whether the next word belongs to the title: a full stop ends the sentence after "chị", not after "đ/c"."""
    if "." in title["gap"]:
        return (title["person"] or title["office"] or "").lower() in _DOT
    return ":" not in title["gap"] or title["person"] is None


def _family_with_middle(text: str) -> Iterator[tuple[int, int]]:
    """Name without a title: family name, "văn" or "thị", given name."""
    offices = {office.end() for office in _OFFICER.finditer(text)}
    for family in _MIDDLE.finditer(text):
        words = list(_words(text, family.end()))
        said = [word for word, _ in words]
        # After "văn" and "thị" stands a given name, even if it is another word elsewhere ("thu", "lên").
        length = max(1, _capitals(said)) if _is_capital(said[0]) and not _is_shouted(said) else 1 + _small(said[1:], 1)
        sure = family[0].lower().partition(" ")[0] not in _FAMILIES_WORDS
        # Without diacritics "xa" is a commune, or the family name Xa.
        seat = family[0][:2].lower() == "xa" and _SEAT.search(text, 0, family.start())
        place = seat or (family.start() not in offices and _PLACE.search(text, 0, family.start()))
        if (sure or not _is_role(said, 0)) and not place:
            yield family.start(), words[length - 1][1]


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
        return _capitals(words) if title["bare"].islower() and capital and first in _GIVEN_BARE else 0
    if title["self"] is not None and first not in _FAMILIES:
        return _self_named(title, words)
    if capital and not _is_shouted(words):
        return _capitals(words)
    if first in _FAMILIES_SMALL | _FAMILIES_SURE:
        after = _small(words[1:], _MOST.get(words[1].lower(), 2) if len(words) > 1 else 0)
        return 1 + after if after >= (1 if first in _FAMILIES_SURE else 2) else 0
    small = first in _GIVEN_SMALL and f"{first}_{words[1].lower() if len(words) > 1 else ''}" not in _GIVEN_PAIRS
    return 1 if title["person"] is not None and (small or (capital and not _no_name(words, 0))) else 0


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
    before = [word.lower() for word in words[:place]]
    if len(before) < 2 or before[0] not in _FAMILIES:
        return False
    return (len(before) == 2 and before[1] in _MIDDLES and words[place].istitle()) or words[place] in {"Mường", "Kinh"}


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


def _stripped(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_GIVEN_BARE: Final = frozenset({*_GIVEN, *map(_stripped, _GIVEN)})
_WORK_BARE: Final = frozenset({"_".join(map(_stripped, one.split("_"))) for one in _WORK})
_PAIRS_BARE: Final = frozenset({"_".join(map(_stripped, one.split("_"))) for one in _GIVEN_PAIRS} | {"huong_dan", "thu_tuc", "thu_phi"})
