"""Free text of citizens, on entry: what names or finds a person is replaced by a word in brackets, the rest stays as it was written.

Only what has a form is found: numbers, addresses, codes, and names after a title ("ông", "chị", "cán bộ"). A name without a title is
found where family name and "văn" or "thị" stand together. Masking is a net, not a promise: whoever may read comments may still meet
a name. Nothing found is kept, only how much of each kind. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from hailong.ports import Invalid

LIMIT: Final = 500
"""Letters of a text, counted after NFC."""
Kind = Literal["phone", "identity", "number", "email", "link", "dossier", "name"]
MARKS: Final[dict[Kind, str]] = {
    "phone": "[số điện thoại]",
    "identity": "[số giấy tờ]",
    "number": "[dãy số]",
    "email": "[thư điện tử]",
    "link": "[liên kết]",
    "dossier": "[mã hồ sơ]",
    "name": "[tên]",
}


@dataclass(frozen=True)
class Masked:
    """What may be kept, at most ``LIMIT`` letters, and how many of each kind were masked."""

    text: str = field(repr=False)
    found: dict[str, int]


def masked(text: str) -> Masked:
    """A text without what names a person; masking it again changes nothing.

    Raises Invalid("too_long") for more than ``LIMIT`` letters. Marks may be longer than what they replace: then words at the end are cut.
    """
    kept = clean(text)
    if len(kept) > LIMIT:
        raise Invalid("too_long", "text", f"the text has {len(kept)} letters, at most {LIMIT} are kept: shorten it")
    found: Counter[str] = Counter()
    # Until nothing is left: what was beside a masked thing may now stand alone. Each round that changes something masks more letters.
    while (after := _cut(_without_names(_without_numbers(kept, found), found))) != kept:
        kept = after
    return Masked(kept, dict(found))


def clean(text: str) -> str:
    """NFC; line ends and tabs as one space; other control, format and surrogate signs removed, wide letters and the digits of other
    scripts as ours: numbers could hide behind them."""
    spaced = re.sub(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+", " ", text)
    signs = "".join(map(_plain, spaced))
    return unicodedata.normalize("NFC", signs).strip()


def _plain(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in {"Cc", "Cf", "Cs"}:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    return chr(ord(sign) - 0xFEE0) if "\uff01" <= sign <= "\uff5e" else sign


def _cut(text: str) -> str:
    """At most ``LIMIT`` letters, no half word and no half mark."""
    if len(text) <= LIMIT:
        return text
    end = next((mark.start() for mark in _MARK.finditer(text) if mark.start() < LIMIT < mark.end()), LIMIT)
    after_mark = max((mark.end() for mark in _MARK.finditer(text, 0, end)), default=0)
    return text[: max(after_mark, text.rfind(" ", 0, end + 1)) or end].rstrip()


_MARK: Final = re.compile("|".join(re.escape(mark) for mark in MARKS.values()))

# ---- numbers, addresses, codes

_GAP: Final = r"(?:[ \u00a0]?[.\-–‑()][ \u00a0]?|[ \u00a0]{1,2}|,)?"
_NEXT: Final = rf"(?:{_GAP}\d|[Oo])"
_PHONE: Final = rf"""
    (?<!\d)
    (?: \(?(?:\+[ ]?84|0084|84)\)?(?:{_GAP}\(0\))?{_GAP} | \(?0{_GAP} | (?<!\w)[Oo]{_GAP} )
    (?: [35789]{_NEXT}{{8}} | 2{_NEXT}{{9}} | 1[2689]{_NEXT}{{8}} )
    (?! \d | (?<=[Oo])\w )
    | (?<!\d) 0\d{{3}}/\d{{3}}/\d{{3}} (?!\d)"""
_WORD: Final = r"(?:không|khong|một|mot|mốt|hai|ba|bốn|bon|tư|năm|nam|lăm|sáu|sau|bảy|bẩy|bay|tám|tam|chín|chin|linh|lẻ)"
_SPOKEN: Final = rf"(?<!\w)(?:không|khong)(?:[\s,.\-]+{_WORD}){{9,10}}(?!\w)"
_NOT_MONEY: Final = r"(?!\s?(?:ý|y|chí|chi|thời|thoi|hành|hanh|nghiệp|nghiep|bào|bao|tình|tinh|đội|doi|loạt|loat|bộ|bo|hồ|ho|bằng|phục)\b)"
# Not "k": after a number it is rather "không".
_UNIT: Final = rf"(?:(?:đồng|dong)(?!\w){_NOT_MONEY}|(?:vnđ|vnd|usd|m2|m²|đ)(?![\w/]))"
# A procedure's code, a date, 2.500.000.000 đồng, 2500000000đ, nộp 2.500.000.000: numbers that are nobody's.
_KEPT: Final = rf"""
    (?<![\d.]) \d\.\d{{6}} (?: \.\d{{3}}\.\d{{2}}\.\d{{2}} (?: \.H\d{{2}} )? )? (?![\d.]*\d)
    | (?<!\d) \d{{1,2}}[./-]\d{{1,2}}[./-](?:19|20)\d{{2}} (?![./-]?\d)
    | (?<!\d) [1-9]\d{{0,2}} (?:[., ]\d{{3}})+ (?:,\d+)? \s? {_UNIT}
    | (?<!\d) [1-9]\d* \s? {_UNIT}
    | (?<!\w) (?:phí|tiền|giá|nộp|thu|đóng|mất|hết) (?:\s(?:là|hết|mất|thêm|khoảng))? \s? :? \s?
      [1-9]\d{{0,2}}(?:\.\d{{3}})+ (?![\d.]*\d)"""
_SET_APART: Final = r"\s?[-–‑— ]\s?"
_DOSSIER: Final = rf"""
    (?<!\w) (?:\d{{3}}[.\-–]\d{{2}}[.\-–]\d{{2}}[.\-–])? H\d{{2}} (?: (?:\.|{_SET_APART}) \d{{1,3}} (?!\d) ){{0,4}} (?:\.\d+)?
    {_SET_APART} \d{{6}} {_SET_APART} \d{{3,6}} (?!\d)"""
# A year is rather that of a decision ("12A-2025"); four digits alone are a plate's only where one is spoken of.
_PLATE: Final = r"""
    (?<![\w.,/\-]) [1-9]\d \s?-?\s? (?: [A-Z]{1,2} | [A-Z]\d ) \s?[\-. ]?\s? \d{3}\.\d{2} (?![\d.,]?\d)
    | (?<![\w.,/\-]) [1-9]\d -? (?-i:[A-Z]{1,2}|[A-Z]\d) [\- ]? \d{5} (?![\d.,]?\d)
    | (?:(?<=xe[ ])|(?<=ks[ ])|(?<=ks:[ ])|(?<=biển[ ]số[ ]))
      [1-9]\d -? (?-i:[A-Z]{1,2}|[A-Z]\d) [\- ] (?!(?:19|20)\d\d) \d{4} (?![\d.,]?\d)"""
_TOP: Final = r"(?:com|vn|net|org|info|edu|gov|me|ly|io|app|page|link|gl|co|top|xyz|site|online|asia|biz)"
_AT_SPOKEN: Final = r"(?: [(\[]\s?(?:@|at|a|a\s?còng|a\s?cong|a\s?móc)\s?[)\]] | (?<!\w)(?:a\s?còng|a\s?cong|a\s?móc)(?!\w) )"
_DOT_SPOKEN: Final = r"(?: \s?\.\s? | \s(?:chấm|cham|dot)\s | \s?[(\[](?:\.|chấm|cham|dot)[)\]]\s? )"
# What is said before an address is none of it; at most three words are.
_OWN_WORD: Final = r"""
    (?!(?:mail|email|gmail|la|toi|em|cua|gui|ve|qua|cho|vao|chi|dia|lien|he|thu|va|hoac|theo|a)\s)
    [A-Za-z0-9._%+\-]+ (?:\s(?:chấm|cham)\s[A-Za-z0-9._%+\-]+){0,2}"""
_EMAIL: Final = rf"""
    [\w.%+\-]+ (?:@|\(at\)|\[at\]|\(a\scòng\)) [A-Za-z][\w\-]*(?:\.[\w\-]+)* (?:{_DOT_SPOKEN}{_TOP}(?!\w))*
    | (?: (?<![\w.%+\-]) (?:{_OWN_WORD}\s){{0,2}} {_OWN_WORD} \s? (?={_AT_SPOKEN}) | [A-Za-z0-9._%+\-]+ \s? )
      (?:@|{_AT_SPOKEN}) \s? [A-Za-z0-9\-]+
      (?: (?:{_DOT_SPOKEN}[A-Za-z0-9\-]+)*? (?:{_DOT_SPOKEN}{_TOP})+
        | (?<=gmail)|(?<=yahoo)|(?<=outlook)|(?<=hotmail)|(?<=icloud) ) (?!\w)"""
_LINK: Final = rf"""
    (?:https?://|www\.) [^\s\[\]<>]*[^\s\[\]<>.,;:!?)]
    | (?<![\w@.]) (?:[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?\.)+{_TOP} (?:/[^\s\[\]<>]*[^\s\[\]<>.,;:!?)]|/)? (?!\w)"""
_LONG: Final = r"(?<!\d)\d{9,}|(?<!\d)\d{3,6}(?:(?P<gap>[ .\-])\d{2,6}(?:(?P=gap)\d{2,6})*)(?!\d)"
_SCAN: Final = re.compile(
    rf"(?P<dossier>{_DOSSIER})|(?P<email>{_EMAIL})|(?P<link>{_LINK})|(?P<plate>{_PLATE})|(?P<kept>{_KEPT})|(?P<phone>{_PHONE}|{_SPOKEN})|(?P<long>{_LONG})",
    re.IGNORECASE | re.VERBOSE,
)
_FEWEST: Final = 9
"""Digits of a number that can be one person's: an old identity card, a bank account."""
_YEAR: Final = re.compile(r"(?:19|20)\d{2}")


def _without_numbers(text: str, found: Counter[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        kind = _kind(match)
        if kind is None:
            return match[0]
        found[kind] += 1
        return MARKS[kind]

    return _SCAN.sub(replaced, text)


def _kind(match: re.Match[str]) -> Kind | None:
    """What was found, None for what stays."""
    for kind in ("dossier", "email", "link"):
        if match[kind] is not None:
            return kind
    if match["plate"] is not None:
        return "number"
    if match["phone"] is not None:
        return "phone" if _one_number(match["phone"]) else None
    return None if match["long"] is None else _long(match["long"])


def _one_number(written: str) -> bool:
    """Many small groups are one number only if they are all set apart in the same way: "07.30 11.30 13.30" are hours."""
    groups = re.findall(r"[\dOo]+", written)
    gaps = set(re.findall(r"[^\dOo()+]+", written))
    return len(groups) <= 4 or len(gaps) <= 1 or not written[0].isdecimal()


def _long(written: str) -> Kind | None:
    groups = re.findall(r"\d+", written)
    digits = sum(map(len, groups))
    if digits < _FEWEST or all(_YEAR.fullmatch(group) for group in groups):
        return None
    return "identity" if digits in {9, 12} else "number"


# ---- names


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
    minh_khai phúc_yên yên_bái tuyên_quang hạnh_phúc"""
)
"""Places that begin like a name."""
_PLAIN_BARE: Final = _listed(
    """ay oi nay kia nao con em chi anh ong ba toi va voi cua cho thi la co khong chua da dang se rat qua cung duoc phai lam noi bao hoi
    huong nhan tra di den ve ra vao len trong ngoai tren tu nhu ma vi neu khi cac nhung nhieu nguoi xin cam chao giup do
    pho truong phong xa phuong huyen tinh cuc thue tram"""
)
"""Without diacritics they may be names: in small letters or in a text of capitals they are not."""


def _without_names(text: str, found: Counter[str]) -> str:
    spans = sorted({*_after_titles(text), *_family_with_middle(text)}, key=lambda span: (span[0], -span[1]))
    parts, at = [], 0
    for start, end in spans:
        if start < at:
            continue
        parts += [text[at:start], MARKS["name"]]
        found["name"] += 1
        at = end
    return "".join([*parts, text[at:]])


def _after_titles(text: str) -> Iterator[tuple[int, int]]:
    for title in _TITLE.finditer(text):
        words = list(_words(text, title.end()))
        if not words or not _joined(title):
            continue
        said = [word for word, _ in words]
        work, length = 0, _name_length(title, said)
        if not length:
            work, length = _after_work(title, said)
        if length:
            word, end = words[work]
            yield end - len(word), words[work + length - 1][1]


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


def _joined(title: re.Match[str]) -> bool:
    """Whether the next word belongs to the title: a full stop ends the sentence after "chị", not after "đ/c"."""
    if "." in title["gap"]:
        return (title["person"] or title["office"] or "").lower() in _DOT
    return ":" not in title["gap"] or title["person"] is None


def _family_with_middle(text: str) -> Iterator[tuple[int, int]]:
    """Name without a title: family name, "văn" or "thị", given name."""
    for family in _MIDDLE.finditer(text):
        words = list(_words(text, family.end()))
        said = [word for word, _ in words]
        # After "văn" and "thị" stands a given name, even if it is another word elsewhere ("thu", "lên").
        length = max(1, _capitals(said)) if _is_capital(said[0]) and not _is_shouted(said) else 1 + _small(said[1:], 1)
        sure = family[0].lower().partition(" ")[0] not in _FAMILIES_WORDS
        if (sure or not _is_role(said, 0)) and not _PLACE.search(text, 0, family.start()):
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
    # "Thu" and "Lam" are names, "thu" and "lam" are not.
    like_a_name = words[place].istitle()
    return words[place].lower() in (_PLAIN_WORDS - _NAMES_TOO if like_a_name else _PLAIN_WORDS | _PLAIN_BARE)


def _stripped(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_GIVEN_BARE: Final = frozenset({*_GIVEN, *map(_stripped, _GIVEN)})
_WORK_BARE: Final = frozenset({"_".join(map(_stripped, one.split("_"))) for one in _WORK})
_PAIRS_BARE: Final = frozenset({"_".join(map(_stripped, one.split("_"))) for one in _GIVEN_PAIRS} | {"huong_dan", "thu_tuc", "thu_phi"})
