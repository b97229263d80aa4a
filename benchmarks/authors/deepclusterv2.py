"""DeepCluster v2's training step, from a checkout of facebookresearch/swav.

The step is their `train`, of an epoch of one batch, without the clustering that
begins an epoch. Network, optimizer and what is compiled are as in SwAV's.
"""

from benchmarks.authors.stubs import stubs
from benchmarks.authors.swav import NOT_NEEDED
from benchmarks.authors.swav import make_arguments
from benchmarks.authors.swav import make_network
from benchmarks.authors.tensors import check_loss
from benchmarks.authors.tensors import stay_on_the_cpu
from benchmarks.authors.tensors import view_tensors
from benchmarks.steps.deepclusterv2 import NUM_CLUSTERINGS
from benchmarks.steps.deepclusterv2 import make_indices
from benchmarks.steps.deepclusterv2 import make_labels
from benchmarks.steps.deepclusterv2 import make_views
from benchmarks.steps.swav import HEAD_WIDTHS
from benchmarks.steps.swav import NUM_GLOBAL


class Loader(list):
    """Batches, of a data set that is the first of them."""

    @property
    def dataset(self):
        (indices, _), *_ = self
        return indices


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    with stubs(NOT_NEEDED, options.authors):
        import main_deepclusterv2

    torch.manual_seed(0)
    stay_on_the_cpu()
    counts = [options.clusters] * NUM_CLUSTERINGS
    main_deepclusterv2.args = make_arguments(
        nmb_prototypes=counts,
        # Never trained, but by k-means.
        freeze_prototypes_niters=1e10,
    )
    labels = torch.from_numpy(make_labels(options)).long()
    main_deepclusterv2.cluster_memory = lambda *_: labels
    model, optimizer, rate = make_network(
        options, main_deepclusterv2.resnet_models, counts
    )
    indices = torch.from_numpy(make_indices(options)).long()
    loader = Loader([(indices, view_tensors(make_views(options)))])
    memory = torch.zeros(NUM_GLOBAL, len(indices), HEAD_WIDTHS[-1])

    def step():
        (_, loss), *_ = main_deepclusterv2.train(
            loader, model, optimizer, 0, [rate], indices.clone(), memory
        )
        return check_loss(loss)

    return step
