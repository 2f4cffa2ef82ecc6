"""Every loss against an oracle: open_clip, a brute-force loop, or an identity between two losses."""

import math

import open_clip
import pytest
import torch
from open_clip.loss import SigLipLoss
from torch import Tensor
from torch.nn.functional import normalize

from training import losses


def features(n: int = 7, dim: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, n, dim, generator=generator, dtype=torch.float64)
    return normalize(image, dim=1), normalize(text, dim=1)


def logits(scale: float = 10.0, **kwargs: int) -> Tensor:
    image, text = features(**kwargs)
    return scale * image @ text.T


def same(labels: list[int]) -> Tensor:
    values = torch.tensor(labels)
    return values[:, None] == values[None, :]


LABELS = [0, 0, 1, 2, 1, 0, 3]


def test_clip_equals_open_clip() -> None:
    image, text = features()
    expected = open_clip.ClipLoss()(image, text, torch.tensor(10.0, dtype=torch.float64))
    torch.testing.assert_close(losses.clip(10.0 * image @ text.T), expected)


def test_clip_of_a_perfect_pair_by_hand() -> None:
    # two samples, logits [[1, 0], [0, 1]]: each row -log(e / (e + 1))
    value = losses.clip(torch.eye(2))
    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)))


@pytest.mark.parametrize("delta", [0.5, 0.2, 1.0])
def test_multi_positive_equals_a_loop(delta: float) -> None:
    matrix, positives = logits(), same(LABELS)

    def one_way(matrix: Tensor) -> float:
        total = 0.0
        for i in range(7):
            terms = [-(matrix[i, p] - matrix[i].exp().sum().log()).item() for p in range(7) if LABELS[p] == LABELS[i]]
            total += sum(terms) / len(terms)
        return total / 7

    expected = delta * one_way(matrix) + (1 - delta) * one_way(matrix.T)
    assert losses.multi_positive(matrix, positives, delta=delta).item() == pytest.approx(expected)


def test_multi_positive_with_one_sample_a_label_is_clip() -> None:
    torch.testing.assert_close(losses.multi_positive(logits(), same(list(range(7)))), losses.clip(logits()))


def test_dhn_nce_equals_the_published_formula() -> None:
    # Koleilat 2024, eq. 1-3, with a loop; hardness by exp(beta x similarity / temperature)
    matrix, beta = logits(), 0.15

    def one_way(matrix: Tensor) -> float:
        total = 0.0
        for i in range(7):
            others = [j for j in range(7) if j != i]
            hardness = {j: math.exp(beta * matrix[i, j].item()) for j in others}
            weight = {j: 6 * hardness[j] / sum(hardness.values()) for j in others}
            total += -matrix[i, i].item() + math.log(sum(weight[j] * math.exp(matrix[i, j].item()) for j in others))
        return total / 7

    expected = (one_way(matrix) + one_way(matrix.T)) / 2
    assert losses.dhn_nce(matrix, beta=beta).item() == pytest.approx(expected)


def test_dhn_nce_without_hardness_is_the_decoupled_loss() -> None:
    matrix = logits()
    off = matrix.masked_fill(torch.eye(7, dtype=torch.bool), -torch.inf)
    expected = (off.logsumexp(1).mean() + off.logsumexp(0).mean()) / 2 - matrix.diagonal().mean()
    torch.testing.assert_close(losses.dhn_nce(matrix, beta=0.0), expected)


def test_dhn_nce_with_the_positive_and_without_hardness_is_infonce() -> None:
    torch.testing.assert_close(losses.dhn_nce(logits(), alpha=1.0, beta=0.0), losses.clip(logits()))


@pytest.mark.parametrize("beta", [0.15, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_dhn_nce_pushes_every_negative_away(alpha: float, beta: float) -> None:
    matrix = logits(n=12).requires_grad_()
    losses.dhn_nce(matrix, alpha=alpha, beta=beta).backward()
    assert matrix.grad is not None
    negatives = ~torch.eye(12, dtype=torch.bool)
    assert (matrix.grad[negatives] > 0).all()  # descent lowers every negative's similarity
    assert (matrix.grad.diagonal() < 0).all()  # and raises every positive's


def test_dhn_nce_leaves_pairs_of_the_same_label_alone() -> None:
    matrix, positives = logits().requires_grad_(), same(LABELS)
    losses.dhn_nce(matrix, positives).backward()
    assert matrix.grad is not None
    off_diagonal = ~torch.eye(7, dtype=torch.bool)
    assert (matrix.grad[positives & off_diagonal] == 0).all()
    assert (matrix.grad[~positives] > 0).all()


def test_dhn_nce_of_a_batch_with_one_label_is_zero_and_has_a_gradient() -> None:
    matrix = logits().requires_grad_()
    value = losses.dhn_nce(matrix, same([0] * 7))
    value.backward()
    assert value.item() == 0
    assert matrix.grad is not None
    assert (matrix.grad == 0).all()


def test_siglip_equals_open_clip() -> None:
    image, text = features()
    scale, bias = torch.tensor(10.0, dtype=torch.float64), torch.tensor(-5.0, dtype=torch.float64)
    expected = SigLipLoss()(image, text, scale, bias)
    torch.testing.assert_close(losses.siglip(scale * image @ text.T + bias), expected)


def test_siglip_takes_same_labels_as_positives() -> None:
    matrix = logits().requires_grad_()
    losses.siglip(matrix, same(LABELS)).backward()
    assert matrix.grad is not None
    assert ((matrix.grad < 0) == same(LABELS)).all()


def test_soft_targets_with_far_strangers_is_multi_positive() -> None:
    positives = same(LABELS)
    distance = torch.where(positives, 0.0, 1e6).double()
    torch.testing.assert_close(losses.soft_targets(logits(), distance), losses.multi_positive(logits(), positives))


def test_soft_targets_prefers_the_neighbour() -> None:
    # sample 1 lies close to sample 0, sample 2 far: raising the similarity to 1 must cost less than to 2
    position = torch.tensor([0.0, 0.05, 1.0], dtype=torch.float64)
    distance = (position[:, None] - position[None, :]).abs()
    near, far = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    near[0, 1] = far[0, 2] = 1.0
    assert losses.soft_targets(near, distance) < losses.soft_targets(far, distance)


def test_rank_n_contrast_equals_a_loop_with_ties() -> None:
    matrix = logits()
    position = torch.tensor([0.0, 0.1, 0.1, 0.4, 0.4, 0.4, 2.0], dtype=torch.float64)
    distance = (position[:, None] - position[None, :]).abs()

    def one_way(matrix: Tensor) -> float:
        total = 0.0
        for i in range(7):
            for j in range(7):
                rivals = [k for k in range(7) if distance[i, k] >= distance[i, j]]
                total -= (matrix[i, j] - torch.stack([matrix[i, k] for k in rivals]).logsumexp(0)).item() / 49
        return total

    expected = (one_way(matrix) + one_way(matrix.T)) / 2
    assert losses.rank_n_contrast(matrix, distance).item() == pytest.approx(expected)


def test_losses_stay_finite_at_the_largest_scale() -> None:
    matrix, positives = logits(scale=100.0).float(), same(LABELS)
    distance = (~positives).float()
    values = [
        losses.clip(matrix),
        losses.multi_positive(matrix, positives),
        losses.dhn_nce(matrix, beta=1.0),
        losses.siglip(matrix, positives),
        losses.soft_targets(matrix, distance),
        losses.rank_n_contrast(matrix, distance),
    ]
    assert all(math.isfinite(value.item()) for value in values)
