"""Run by test_train under torchrun and alone: one gradient of a whole batch, then three steps of training."""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from conftest import TOY, Stripes
from training.data.targets import targets
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import load_recipe
from training.train import gradient_cache
from training.train.distributed import average, processes
from training.train.loop import train
from training.train.objective import objective

CPU = torch.device("cpu")

out = Path(sys.argv[1])
recipe = load_recipe("tiny", [*TOY, "loss=siglip", "optimiser.steps=3"])
with processes(CPU) as shard:
    source = Stripes(rank=shard.rank, world=shard.world)
    torch.manual_seed(0)
    built = build(recipe.model, field_table(source.captions(), recipe.model.metadata.fields, min_count=1))
    batch = next(source.steps(0))
    loss = gradient_cache.backward(
        built.model,
        gradient_cache.Samples(batch.images, built.inputs.encode(batch.captions)),
        objective(built.model, targets(batch.captions, batch.labels), recipe.loss),
        micro_batch=4,
        seed=0,
        autocast=nullcontext,
    )
    gradients = [parameter.grad for parameter in built.model.parameters() if parameter.grad is not None]
    average(gradients)
    trained = train(recipe, source, out.with_name(f"{out.name}-run"), device=CPU, rank=shard.rank)
    weights = [weight.detach() for weight in trained.built.model.parameters()]
    content = {"loss": loss.item(), "gradients": gradients, "weights": weights}
    torch.save(content, out.with_name(f"{out.name}-{shard.rank}.pt"))
