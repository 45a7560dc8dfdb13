"""Alignment error rates on the everyday corpus: attention, a lexicon, both, and eflomal.

    translator train configs/tiny.yaml
    python scripts/compare_alignments.py runs/tiny
    python scripts/compare_alignments.py runs/tiny --eflomal .eflomal/bin/eflomal-align

All are learnt from train.tsv, or from train.tsv and the tested pairs (eflomal), and scored against
the gold links of a split. For attention alone and for attention with the lexicon, each layer is
shown, with all of its heads, read where a word is predicted (output) and where it is the decoder's
input. "chosen" is what `translator translate --alignments` uses; it is chosen on validation.tsv
without gold links. eflomal is a program under the GPL (pip install eflomal, into an environment of
its own).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translator.alignment.links import Link, alignment_error_rate, read_links

DATA = Path(__file__).parents[1] / "data/everyday"
Links = Sequence[frozenset[Link]]


class Row(NamedTuple):
    """Links of one method."""

    method: str
    links: Links


def read_tsv(split: str) -> list[tuple[str, str]]:
    lines = (DATA / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    return [(source, target) for source, target in (line.split("\t") for line in lines)]


def by_translator(run: Path, pairs: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """Yield the links of a run, and of its parts."""
    from translator.alignment.aligner import AttentionReader, TranslatedLine, find_links
    from translator.alignment.run_files import Reading, load_lexicon
    from translator.decoding.loaded_run import load_run
    from translator.runs import RunDirectory
    from translator.workflows.alignments import open_aligner
    from translator.workflows.progress import LOG_LINES

    loaded = load_run(RunDirectory.existing(run))
    engine = loaded.engine()
    rows = engine.tokenizer.target.encode([target for _, target in pairs])
    lines = [TranslatedLine(*pair, row) for pair, row in zip(pairs, rows, strict=True)]
    chosen = open_aligner(loaded, engine, LOG_LINES).align(lines)
    lexicon = load_lexicon(loaded.directory)
    assert lexicon is not None
    reader = AttentionReader(engine.model, engine.tokenizer, engine.max_length)
    attention = [one for _, one in sorted(reader.read(lines), key=lambda read: read[0])]
    lexical = [lexicon.scores(one.words) for one in attention]
    for layer, at in sorted(attention[0].weights):
        heads = list(range(len(attention[0].weights[layer, at])))
        reading = Reading(layer=layer, heads=heads, at=at)
        means = [one.mean(reading) for one in attention]
        alone = [find_links(mean, np.ones(mean.shape)) for mean in means]
        both = [find_links(*one) for one in zip(means, lexical, strict=True)]
        yield Row(f"attention, layer {layer}, {at}", alone)
        yield Row(f"attention and lexicon, layer {layer}, {at}", both)
    yield Row("lexicon", [find_links(np.ones(one.shape), one) for one in lexical])
    yield Row("chosen", chosen)


def by_eflomal(program: Path, pairs: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """Yield eflomal's links in both directions, and what two usual symmetrizations make of them.

    It reads lower-cased text, as it is faster and better that way.
    """
    text = "".join(f"{one} ||| {other}\n".lower() for one, other in [*pairs, *read_tsv("train")])
    with tempfile.TemporaryDirectory() as folder:
        source, *links = (Path(folder) / name for name in ("text", "forward", "reverse"))
        source.write_text(text, encoding="utf-8")
        arguments = ["-i", source, "-f", links[0], "-r", links[1]]
        subprocess.run([program, *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)
        forward, reverse = (
            [frozenset(one.sure) for one in read_links(path.read_text().splitlines(), path.name)]
            for path in links
        )
    both = list(zip(forward, reverse, strict=True))[: len(pairs)]
    yield Row("eflomal, forward", [one for one, _ in both])
    yield Row("eflomal, reverse", [other for _, other in both])
    yield Row("eflomal, intersection", [one & other for one, other in both])
    yield Row("eflomal, union", [one | other for one, other in both])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run of configs/tiny.yaml")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--eflomal", type=Path, help="the program eflomal-align")
    arguments = parser.parse_args()
    pairs = read_tsv(arguments.split)
    name = f"{arguments.split}.links"
    gold = read_links((DATA / name).read_text(encoding="utf-8").splitlines(), name)
    rows = list(by_translator(arguments.run, pairs))
    if arguments.eflomal:
        rows += by_eflomal(arguments.eflomal, pairs)
    print("| links from | alignment error rate |\n|---|---|")
    for row in rows:
        rate = alignment_error_rate(
            row.links, [one.sure for one in gold], [one.possible for one in gold]
        )
        print(f"| {row.method} | {rate:.1%} |")


if __name__ == "__main__":
    main()
