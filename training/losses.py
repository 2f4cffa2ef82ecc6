"""Contrastive losses as pure functions of logits.

Every function takes `logits`, (n, n): row i compares image i with the metadata of every sample, so the diagonal holds
the true pairs: scale x cosine, plus a bias where the loss has one (SigLIP). Every function returns a scalar, the mean
over samples and over both directions. `delta` weighs image -> metadata, 1 - delta metadata -> image.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

Logits = Float[Tensor, "n n"]
Pairs = Bool[Tensor, "n n"]
Distances = Float[Tensor, "n n"]
Scalar = Float[Tensor, ""]


def _both_ways(row_loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, pairs: Tensor, delta: float) -> Tensor:
    return delta * row_loss(logits, pairs).mean() + (1 - delta) * row_loss(logits.T, pairs.T).mean()


def clip(logits: Logits) -> Scalar:
    """InfoNCE with one positive a row (Radford 2021); equals `open_clip.ClipLoss`."""
    truth = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)) / 2


def multi_positive(logits: Logits, positives: Pairs, *, delta: float = 0.5) -> Scalar:
    """Supervised contrastive loss across modalities, L_out of Khosla 2020: the published MR-CLIP loss.

    `positives` says which pairs carry the same label; every row needs one, and the diagonal always is.
    """

    def rows(logits: Tensor, positives: Tensor) -> Tensor:
        log_share = functional.log_softmax(logits, dim=1)
        return -torch.where(positives, log_share, 0.0).sum(dim=1) / positives.sum(dim=1)

    return _both_ways(rows, logits, positives, delta)


def dhn_nce(
    logits: Logits, positives: Pairs | None = None, *, alpha: float = 0.0, beta: float = 0.15, delta: float = 0.5
) -> Scalar:
    """Decoupled hard-negative NCE (Koleilat 2024, MedCLIP-SAM).

    A negative weighs (number of negatives) x softmax(beta x logits): hard ones count more. The weights are constants
    to the gradient. Were they not, an easy negative would be pulled closer, because that takes weight from a hard one.
    `alpha` is the share of the positive in the denominator. beta = 0, alpha = 0 is the decoupled loss (Yeh 2022);
    beta = 0, alpha = 1 is InfoNCE. Pairs in `positives` off the diagonal (same label) are left out of the negatives; a
    row without a negative adds nothing.
    """
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    negatives = ~own if positives is None else ~(positives | own)

    def rows(logits: Tensor, negatives: Tensor) -> Tensor:
        some = negatives.any(dim=1)
        positive, logits, negatives = logits.diagonal()[some], logits[some], negatives[some]
        hardness = (beta * logits.detach()).masked_fill(~negatives, -torch.inf)
        log_weight = functional.log_softmax(hardness, dim=1) + negatives.sum(dim=1, keepdim=True).log()
        against = (logits + log_weight).masked_fill(~negatives, -torch.inf).logsumexp(dim=1)
        if alpha > 0:
            against = torch.logaddexp(against, positive + torch.tensor(alpha, device=logits.device).log())
        return logits.new_zeros(len(some)).masked_scatter(some, against - positive)

    return _both_ways(rows, logits, negatives, delta)


def siglip(logits: Logits, positives: Pairs | None = None) -> Scalar:
    """Pairwise sigmoid loss (Zhai 2023); equals `open_clip.SigLipLoss` where only the diagonal is positive.

    `logits` include the bias. With `positives` every pair of the same label is a positive.
    """
    if positives is None:
        positives = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    sign = torch.where(positives, 1.0, -1.0)
    return -functional.logsigmoid(sign * logits).sum() / len(logits)


def soft_targets(logits: Logits, distance: Distances, *, width: float = 0.1, delta: float = 0.5) -> Scalar:
    """Cross-entropy against a target that falls off with the distance between the samples' parameters.

    The target of row i is proportional to exp(-distance / width), `distance` non-negative and symmetric, in the unit of
    `width`. A small width with distances 0 and large is `multi_positive`.
    """
    share = functional.softmax(-distance / width, dim=1)

    def rows(logits: Tensor, share: Tensor) -> Tensor:
        return -(share * functional.log_softmax(logits, dim=1)).sum(dim=1)

    # the target of a column is that of the row, because distances are symmetric
    return delta * rows(logits, share).mean() + (1 - delta) * rows(logits.T, share).mean()


def rank_n_contrast(logits: Logits, distance: Distances, *, delta: float = 0.5) -> Scalar:
    """Rank-N-Contrast (Zha 2023) across modalities: closer in parameters must mean closer in the embedding.

    For every row i and every j: -log of exp(logit_ij) over the sum of exp(logit_ik) for the k that are at least as far
    from i as j is. Sorted once per row, so O(n^2 log n) and no (n, n, n) tensor.
    """

    def rows(logits: Tensor, distance: Tensor) -> Tensor:
        far_first, order = distance.sort(dim=1, descending=True)
        logits = logits.gather(1, order)
        cumulated = logits.logcumsumexp(dim=1)
        # ties are all "at least as far": take the sum up to the last element of the same distance
        nearness = -far_first.contiguous()
        last = torch.searchsorted(nearness, nearness, right=True) - 1
        return (cumulated.gather(1, last) - logits).mean(dim=1)

    return _both_ways(rows, logits, distance, delta)
