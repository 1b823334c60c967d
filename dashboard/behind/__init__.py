"""What stands behind the figures: units made comparable, why a rate moved, the way to the goal, what became of everybody.

One question and one version in, one document out; the pages and the command line show the same. Figures follow ``dashboard.view``: the
same counts, the same scope, the same steps.
"""

from dashboard.behind.ahead import Ahead, ahead, ahead_json
from dashboard.behind.compared import Comparison, compared, compared_json, funnel_json
from dashboard.behind.gone import Gone, gone, gone_json
from dashboard.behind.moving import Span, Why, spans, why, why_json
from dashboard.behind.sources import Asker, Sources, StatedStore, StrataStore

__all__ = [
    "Ahead", "Asker", "Comparison", "Gone", "Sources", "Span", "StatedStore", "StrataStore", "Why", "ahead", "ahead_json", "compared",
    "compared_json", "funnel_json", "gone", "gone_json", "spans", "why", "why_json",
]  # fmt: skip
