"""k nearest neighbors: the training samples are stored, and votes are the logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import ModelError
from convnet.layers import Fitted, Metric, Passes, nearest
from convnet.models.registry import Facts, network
from convnet.registry import Count
from convnet.types import ImageShape

CANDIDATES = (1, 3, 5, 7, 9, 11, 15, 21)


class NearestNeighbors(Fitted):
    """The k-nearest-neighbor classifier.

    Attributes:
        memory: The stored samples N×D; uint8 if inputs are pixels divided by 255.
        labels: Their classes, N.
        kept: Their positions among the training samples, N.
        chosen: The number of neighbors that vote; chosen on the validation samples if `k` is None.
        voters: The same as a Python number.
    """

    fitted_state = ("memory", "labels", "kept", "chosen")
    memory: Tensor
    labels: Tensor
    kept: Tensor
    chosen: Tensor

    def __init__(self, num_classes: int, k: int | None, metric: Metric, most: int | None = None) -> None:
        super().__init__()
        self.num_classes, self.k, self.metric, self.most = num_classes, k, metric, most
        self.voters = k or 1
        self.register_load_state_dict_post_hook(_restore_voters)  # type: ignore[no-untyped-call]

    def require_samples(self, train: int, val: int) -> None:
        """Check that there are `k` samples, or validation samples to choose `k` on."""
        stored = min(train, self.most or train)
        if self.k is None and not val:
            raise ModelError("knn: k is chosen on the validation split, which is empty; use --set model.k=1")
        if self.k is not None and self.k > stored:
            raise ModelError(
                f"knn: k={self.k} exceeds the {stored:,} training samples; use fewer (--set model.k=1)"
            )

    @torch.no_grad()
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Store all samples, or `most` of them, evenly spaced; choose `k` if it is None."""
        inputs, targets = zip(*((_compact(x), targets) for x, targets in train()), strict=True)
        compact = all(x.dtype == torch.uint8 for x in inputs)
        memory = torch.cat(inputs if compact else [_expand(x) for x in inputs]).flatten(1)
        labels = torch.cat(targets)
        count = min(len(memory), self.most or len(memory))
        self.kept = torch.arange(count, device=memory.device) * len(memory) // count
        self.memory, self.labels = memory[self.kept], labels[self.kept]
        self.voters = self.k or 1
        self.chosen = torch.tensor([self.voters], device=memory.device)
        if self.k is None and val is not None:
            self.voters = self._choose(val)
            self.chosen[0] = self.voters

    def _choose(self, val: Passes) -> int:
        """The candidate with the most correct validation samples; the smallest in a tie."""
        candidates = [k for k in CANDIDATES if k <= len(self.memory)]
        right = dict.fromkeys(candidates, 0)
        for x, targets in val():
            labels = self.neighbors(x, candidates[-1])[1]
            for k in candidates:
                right[k] += int((self._votes(self.labels[labels[:, :k]]).argmax(1) == targets).sum())
        return max(candidates, key=lambda k: right[k])

    def neighbors(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest neighbors of N samples: distances N×k, and positions in `memory` N×k."""
        self.require_fitted()
        queries = x.flatten(1).float()
        if self.memory.dtype == torch.uint8:
            distances, places = nearest(queries * 255, self.memory, k, self.metric)
            return (distances if self.metric == "cosine" else distances / 255), places
        return nearest(queries, self.memory, k, self.metric)

    @property
    def classifier(self) -> nn.Module:
        """The model itself, because there are no features."""
        return self

    def forward_features(self, x: Tensor) -> Tensor:
        """The sample itself."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """N×… → votes N×K; nearer neighbors break ties."""
        self.require_fitted()
        _, places = self.neighbors(x, self.voters)
        return self._votes(self.labels[places])

    def _votes(self, labels: Tensor) -> Tensor:
        """Labels N×k → N×K: one vote per neighbor, plus less than half a vote in total for nearness."""
        k = labels.shape[1]
        votes = 1 + torch.arange(k, 0, -1, device=labels.device) / (2 * k * (k + 1))
        ballots = F.one_hot(labels, self.num_classes).to(votes)
        return (ballots * votes[:, None]).sum(1)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"k={self.k or 'chosen'}, metric={self.metric}"


def _restore_voters(module: nn.Module, _incompatible: object) -> None:
    """The number of voters as a Python number, which exported models need."""
    assert isinstance(module, NearestNeighbors)
    module.voters = int(module.chosen)


def _compact(x: Tensor) -> Tensor:
    """Images whose values are pixels divided by 255 as uint8; other inputs as float."""
    if not x.is_floating_point() or x.shape[2:] == (1, 1):
        return x.float()
    pixels = (x * 255).round()
    exact = (pixels - x * 255).abs().max() < 1e-4 and pixels.min() >= 0 and pixels.max() <= 255
    return pixels.byte() if exact else x.float()


def _expand(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x


@network(
    "knn",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=1,
        parameters=0,
        source="Fix and Hodges 1951",
        baseline=True,
        fitted=True,
    ),
)
def knn(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    k: Count | None = None,
    metric: Metric = "l2",
    most: Count | None = None,
) -> nn.Module:
    """The most frequent label of the k most similar training images. Fitted in one pass (epochs is 0).

    Args:
        in_channels: Not used.
        num_classes: The number of classes.
        image_size: Not used.
        k: The number of neighbors. Default: chosen on the validation split.
        metric: "l1", "l2" or "cosine".
        most: The largest number of stored samples. Default: all.
    """
    return NearestNeighbors(num_classes, k, metric, most)
