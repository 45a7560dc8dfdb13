"""Warnings about translations at the length limit or with stray bytes."""

from translator.decoding.engine import Translation
from translator.diagnostics.output_checks import OutputChecks

GOOD = Translation("gut", -1.0, 2)
CUT = GOOD._replace(at_limit=True)
MISSPELT = GOOD._replace(num_stray_bytes=2)


def warnings(*best: Translation, before: int = 0) -> list[str]:
    check = OutputChecks(before)
    results = [[one, CUT] for one in best]
    assert list(check.watch(results)) == results
    return check.warnings()


def test_no_warning_for_good_translations() -> None:
    assert warnings() == warnings(GOOD, GOOD) == []


def test_translations_at_the_limit_are_counted_with_the_first_line() -> None:
    assert warnings(GOOD, CUT, CUT, GOOD) == [
        "Translations that end at the length limit: 2, the first in line 2. They may be cut. A "
        "higher decoding.max_length_ratio or decoding.max_length_extra allows longer ones. (An "
        "export keeps the limit of its run.)"
    ]


def test_translations_with_stray_bytes_are_counted_with_the_first_line() -> None:
    assert warnings(GOOD, MISSPELT, before=2048) == [
        "Translations with bytes that spell no character: 1, the first in line 2,050. These bytes "
        "were left out. A model that is trained longer writes fewer."
    ]


def test_both_kinds_are_reported() -> None:
    assert len(warnings(MISSPELT._replace(at_limit=True))) == 2
