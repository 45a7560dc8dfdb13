"""Results of commands as text for standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translator.export.manifest import Manifest
    from translator.workflows.export import Exported
    from translator.workflows.tune import Tuning


def tuning_summary(tuning: Tuning) -> str:
    """The selected setting, its gain, and where it is kept."""
    chosen, configured = tuning.chosen, tuning.configured
    weights = f", mean of {len(tuning.mean_steps)} weights" if tuning.mean_steps else ""
    overrides = " ".join(f"--set {override}" for override in tuning.overrides)
    location = f"A bundle keeps nothing; use it with: {overrides}"
    if tuning.path is not None:
        location = f"Kept in {tuning.path} for `translate`, `eval` and `export`."
    return (
        f"Selected beam {chosen.beam_size}, length penalty {chosen.length_penalty:g} "
        f"({tuning.chosen_kind}){weights}: {tuning.gain} BLEU over the configured decoding (beam "
        f"{configured.beam_size}, length penalty {configured.length_penalty:g} "
        f"({tuning.configured_kind}), {configured.bleu:.2f}).\n"
        f"Validation BLEU {chosen.bleu:.2f}  {tuning.signature}\n"
        f"{location}"
    )


def export_summary(exported: Exported) -> str:
    """The comparison of an export with its run, and how to use it."""
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
