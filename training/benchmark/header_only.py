"""What dcm-classifier (PyPI, headers alone; Iowa, Apache-2.0) says of the same series, to compare with.

It comes with packages that do not live beside ours, so it runs in an interpreter of its own, named by its path.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from inference import labels
from training.benchmark.observe import Outcome
from training.benchmark.shares import share
from training.errors import RefusedError

# Its words for a contrast in ours; words that are not here (such as "unknown") are no answer.
_WORDS: Final = {
    "t1w": labels.T1, "t2w": labels.T2, "flair": labels.FLUID_ATTENUATED, "pd": labels.PROTON_DENSITY,
    "gret2star": labels.T2_STAR, "swig": labels.SUSCEPTIBILITY, "adc": labels.ADC, "tracew": labels.DIFFUSION,
    "b0": labels.DIFFUSION, "dwig": labels.DIFFUSION, "dwig_multishell": labels.DIFFUSION, "fa": labels.DERIVED_MAP,
    "eadc": labels.DERIVED_MAP,
}  # fmt: skip
_PROGRAM: Final = """
import contextlib, io, json, sys, warnings
warnings.filterwarnings("ignore")
from dcm_classifier.image_type_inference import ImageTypeClassifierBase
from dcm_classifier.study_processing import ProcessOneDicomStudyToVolumesMappingBase as Study
found = {}
for folder in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            study = Study(study_directory=folder, inferer=ImageTypeClassifierBase())
            study.run_inference()
            for series in study.series_dictionary.values():
                found[series.get_series_uid()] = [str(one.get_volume_modality()) for one in series.get_volume_list()]
        except Exception as error:
            found[folder] = [f"failed: {type(error).__name__}"]
print(json.dumps(found))
"""


def compare(python: Path, folders: Sequence[Path], stacks: Sequence[Outcome]) -> dict[str, Any]:
    """How often it is right on the counted series; a series it does not answer is counted as such."""
    done = subprocess.run(  # noqa: S603  the interpreter is named by whoever runs the benchmark
        [str(python), "-c", _PROGRAM, *map(str, folders)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RefusedError(f"{python}: cannot run dcm-classifier: {done.stderr.strip().splitlines()[-1:]}")
    return _figures(json.loads(done.stdout.splitlines()[-1]), stacks)


def _figures(said: Mapping[str, Sequence[str]], stacks: Sequence[Outcome]) -> dict[str, Any]:
    counted = {one.series_uid: one for one in stacks if one.truth.counted}
    answers = {uid: [_WORDS[word] for word in said.get(uid, ()) if word in _WORDS] for uid in counted}
    right = [any(answer in counted[uid].truth.accepted for answer in found) for uid, found in answers.items() if found]
    return {
        "name": "dcm-classifier",
        "right": str(share(right)),
        "unanswered": str(share([not found for found in answers.values()])),
        "answers": {counted[uid].truth.series: list(said.get(uid, ())) for uid in counted},
    }
