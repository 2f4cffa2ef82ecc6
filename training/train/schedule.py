"""The learning rate of a step."""

import math


def cosine(step: int, *, base: float, warmup_steps: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to 0 at `steps`; equals open_clip's `cosine_lr`."""
    if step < warmup_steps:
        return base * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress)) * base
