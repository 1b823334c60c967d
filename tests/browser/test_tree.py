"""What a screen reader is told of the pages on the way to an answer, read through as it stands here: every heading, group, name and button.

Whoever changes a page reads its part again, as somebody would who only hears it.
"""
# ruff: noqa: E501  # sentences are one line, as they are said

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from tests.browser.checks import tree
from tests.browser.citizen import LANGUAGES, Citizen
from tests.browser.conftest import Visit
from tests.browser.office import Office
from tests.browser.test_question import SCALE, Words, answer, reach

VI: Final = {
    "around": """\
- link "Đến nội dung chính"
- banner:
  - paragraph: Trung tâm Phục vụ hành chính công
  - navigation "Ngôn ngữ":
    - text: Tiếng Việt ·
    - link "English"
- contentinfo:
  - link "Ai hỏi, vì sao, giữ bao lâu"
  - link "Không muốn được hỏi nữa"
""",
    "who": """\
- paragraph: Tự nguyện · câu đầu chưa tới 1 phút
- heading "Ông/Bà vừa làm thủ tục tại Bộ phận Một cửa xã Thượng Cốc, kết thúc ngày 10/3/2026?" [level=1]
- paragraph:
  - link "Đúng, tôi đã làm"
- button "Không phải tôi"
- paragraph: Nếu Ông/Bà làm giúp người khác và chính mình đã đến hoặc liên hệ, xin chọn “Đúng, tôi đã làm”.
""",
    "Q0": """\
- paragraph: Tự nguyện · câu đầu chưa tới 1 phút
- group "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc giải quyết hồ sơ vừa rồi?":
  - heading "Nhìn chung, Ông/Bà hài lòng ở mức nào với việc giải quyết hồ sơ vừa rồi?" [level=1]
  - radio "Rất không hài lòng"
  - radio "Không hài lòng"
  - radio "Bình thường"
  - radio "Hài lòng"
  - radio "Rất hài lòng"
  - radio "Không áp dụng"
- button "Gửi câu trả lời"
- paragraph: Câu trả lời được lưu ngay khi gửi. Ông/Bà có thể dừng bất cứ lúc nào. Sau đó còn tối đa 9 câu hỏi ngắn, không bắt buộc. Câu trả lời không hiện tên với cán bộ.
- paragraph: Hồ sơ tại Bộ phận Một cửa xã Thượng Cốc, kết thúc ngày 10/3/2026.
""",
    "Q7": """\
- paragraph:
  - link "Quay lại câu trước"
- paragraph: Câu trả lời thứ nhất đã được lưu. Câu 2, còn 8
- group "Điều gì chưa tốt?":
  - heading "Điều gì chưa tốt?" [level=1]
  - paragraph: Có thể chọn nhiều ô, hoặc không chọn ô nào.
  - checkbox "Chậm"
  - checkbox "Phải đi lại nhiều lần"
  - checkbox "Giấy tờ khó"
  - checkbox "Thái độ"
  - checkbox "Chi phí ngoài quy định"
  - checkbox "Trang web khó dùng"
  - checkbox "Khác"
- button "Tiếp tục"
- paragraph: "Không muốn trả lời câu này: cứ bấm “Tiếp tục”."
- button "Dừng tại đây"
""",
    "Q8": """\
- paragraph:
  - link "Quay lại câu trước"
- paragraph: Câu 9, còn 1
- heading "Ông/Bà còn ý kiến nào khác không?" [level=1]
- paragraph: Xin không ghi họ tên, số giấy tờ, số điện thoại. Tối đa 500 chữ cái.
- textbox "Ông/Bà còn ý kiến nào khác không?"
- button "Tiếp tục"
- paragraph: "Không muốn trả lời câu này: cứ bấm “Tiếp tục”."
- button "Dừng tại đây"
""",
    "thanks": """\
- heading "Cảm ơn Ông/Bà" [level=1]
- paragraph: Câu trả lời đã được lưu.
- paragraph: "Mã biên nhận của Ông/Bà: HL-…"
- paragraph:
  - text: Ai có mã này đều có thể kiểm tra rằng câu trả lời đã được tính, hoặc xóa câu trả lời. Mã không cho biết đã trả lời gì.
  - link "Kiểm tra hoặc xóa bằng mã"
- heading "Việc tiếp theo" [level=2]
- list:
  - listitem: Câu trả lời được cộng vào kết quả chung của nơi giải quyết hồ sơ. Không cán bộ nào ở đó thấy câu trả lời riêng của Ông/Bà.
  - listitem: Khi nhiều người cùng chưa hài lòng, người phụ trách chất lượng được báo để xem lại cách làm.
  - listitem: Ông/Bà không cần làm gì thêm và có thể đóng trang này.
- paragraph:
  - link "Những ý kiến trước đã dẫn đến điều gì"
""",
}
EN: Final = {
    "around": """\
- link "Go to the main content"
- banner:
  - paragraph: Public Administrative Service Centre
  - navigation "Language":
    - link "Tiếng Việt"
    - text: · English
- contentinfo:
  - link "Who asks, why, how long it is kept"
  - link "I do not want to be asked again"
""",
    "who": """\
- paragraph: "Voluntary · first answer: one minute"
- heading "Did you deal with Bộ phận Một cửa xã Thượng Cốc about a dossier that ended on 10 March 2026?" [level=1]
- paragraph:
  - link "Yes, I did"
- button "That was not me"
- paragraph: If you did it for somebody else and went there or made contact yourself, please choose “Yes, I did”.
""",
    "Q0": """\
- paragraph: "Voluntary · first answer: one minute"
- group "Overall, how satisfied are you with how your recent dossier was handled?":
  - heading "Overall, how satisfied are you with how your recent dossier was handled?" [level=1]
  - radio "Very dissatisfied"
  - radio "Dissatisfied"
  - radio "Neutral"
  - radio "Satisfied"
  - radio "Very satisfied"
  - radio "Not applicable"
- button "Send my answer"
- paragraph: Your answer is saved as soon as you send it. You may stop at any time. Up to 9 short questions follow; none of them is required. Officials do not see who gave an answer.
- paragraph: Your dossier at Bộ phận Một cửa xã Thượng Cốc, ended on 10 March 2026.
""",
    "Q7": """\
- paragraph:
  - link "Back to the question before"
- paragraph: Your first answer has been saved. Question 2, 8 to go
- group "What went wrong?":
  - heading "What went wrong?" [level=1]
  - paragraph: Choose as many as you like, or none.
  - checkbox "Slow"
  - checkbox "Many trips"
  - checkbox "Hard papers"
  - checkbox "Attitude"
  - checkbox "Charges beyond the rules"
  - checkbox "Website hard to use"
  - checkbox "Other"
- button "Continue"
- paragraph: If you do not want to answer this one, just press “Continue”.
- button "Stop here"
""",
    "Q8": """\
- paragraph:
  - link "Back to the question before"
- paragraph: Question 9, 1 to go
- heading "Is there anything else you would like to say?" [level=1]
- paragraph: Please write no names, identity numbers or phone numbers. At most 500 letters.
- textbox "Is there anything else you would like to say?"
- button "Continue"
- paragraph: If you do not want to answer this one, just press “Continue”.
- button "Stop here"
""",
    "thanks": """\
- heading "Thank you" [level=1]
- paragraph: Your answer has been saved.
- paragraph: "Your receipt code: HL-…"
- paragraph:
  - text: Whoever has this code can check that the answer was counted, or erase it. The code does not tell what was answered.
  - link "Check or erase with the code"
- heading "What happens now" [level=2]
- list:
  - listitem: Your answer is added to the overall result of the office that handled the dossier. No official there sees your own answer.
  - listitem: When many people are dissatisfied, the person in charge of quality is told, so that the way of working is looked at again.
  - listitem: There is nothing more to do. You may close this page.
- paragraph:
  - link "What came of earlier answers"
""",
}
SAID: Final = {"vi": VI, "en": EN}
_ADDRESS: Final = re.compile(r"\n *- /url: .*")
_LABEL: Final = re.compile(r'(- (?:radio|checkbox) "([^"]+)")\n *- text: \2(?=\n)')
"""A choice and its label have the same words; they are said once."""

_LANGUAGE: Final = re.compile(r'- button ("(?:English|Tiếng Việt)")')
"""A button of the form where what is filled in goes along, else a link."""


def heard(citizen: Citizen) -> tuple[str, str]:
    """(around the page, in its main part), without addresses."""
    said = re.sub(r'(- link ".*"):', r"\1", _LABEL.sub(r"\1", _ADDRESS.sub("", tree(citizen.page))))
    head, _, rest = re.sub(r"\bHL(-\w+){3}", "HL-…", said).partition("- main:\n")
    main, contentinfo, foot = rest.partition("- contentinfo:")
    return f"{head}{contentinfo}{foot}\n", "\n".join(line[2:] for line in main.splitlines()) + "\n"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_heard_on_the_way_to_an_answer(
    visit: Visit, site: Office, words: Words, asked: dict[str, dict[str, Any]], lang: str
) -> None:
    slip, said = site.slip(), words[lang]
    citizen = visit(lang=lang, js=False)
    citizen.open(f"/{slip.code}")
    pages = {"who": heard(citizen)}
    reach(citizen, words, asked, slip.code)
    pages["Q0"] = heard(citizen)
    assert len(SCALE[lang]) == pages["Q0"][1].count("radio") - 1
    answer(citizen, words, 2)
    pages["Q7"] = heard(citizen)
    while not citizen.page.get_by_role("textbox").count():
        citizen.press(said["onward"])
    pages["Q8"] = heard(citizen)
    citizen.press(said["finish"])
    pages["thanks"] = heard(citizen)
    assert {name: main for name, (_, main) in pages.items()} == {name: text for name, text in SAID[lang].items() if name != "around"}
    assert {_LANGUAGE.sub(r"- link \1", around) for around, _ in pages.values()} == {SAID[lang]["around"]}
    assert [name for name, (around, _) in pages.items() if _LANGUAGE.search(around)] == ["Q0", "Q7", "Q8"]
