"""Results of commands as text for standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translator.export.manifest import Manifest
    from translator.workflows.export import Exported
    from translator.workflows.tune import Tuning


def tuning_summary(found: Tuning) -> str:
    """Which setting was selected, what it gains, and where it is kept."""
    chosen, configured = found.chosen, found.configured
    weights = f", mean of {len(found.mean_steps)} weights" if found.mean_steps else ""
    overrides = " ".join(f"--set {override}" for override in found.overrides)
    place = f"A bundle keeps nothing; use it with: {overrides}"
    if found.path is not None:
        place = f"Kept in {found.path} for `translate`, `eval` and `export`."
    return (
        f"Selected beam {chosen.beam_size}, length penalty {chosen.length_penalty:g} "
        f"({found.chosen_kind}){weights}: {found.gain} BLEU over the configured decoding (beam "
        f"{configured.beam_size}, length penalty {configured.length_penalty:g} "
        f"({found.configured_kind}), {configured.bleu:.2f}).\n"
        f"Validation BLEU {chosen.bleu:.2f}  {found.signature}\n"
        f"{place}"
    )


def export_summary(exported: Exported) -> str:
    """How an export compares with its run, and how to use it."""
    use = f"{exported.path / 'example.py'} translates lines with it."
    if exported.manifest.format == "bundle":
        use = "All commands take it in place of a run."
    return f"{_quality(exported.manifest)}\nExported to {exported.path}. {use}"


def _quality(manifest: Manifest) -> str:
    golden, validation, search = manifest.golden, manifest.validation, manifest.options
    penalty = manifest.penalty.replace("alpha", f"{search.length_penalty:g}")
    return (
        f"Search: beam {search.beam_size}, log-probabilities divided by {penalty}.\n"
        f"Compared with the run, computing in {manifest.compute_type}: {golden}.\n"
        f"Validation BLEU {validation.bleu:.2f} ({validation.run_bleu:.2f} by the run itself); "
        f"{validation.same:.1%} of the translations are the same.  {validation.signature}"
    )
