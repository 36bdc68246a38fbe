"""The figures of the documentation beyond labels, each compared with simpler methods on the same samples.

    python benchmarks/beyond_labels.py denoise                       # included photos
    python benchmarks/beyond_labels.py unseen --image FLOWERS/val    # the same on 100 photos
    python benchmarks/beyond_labels.py codes --data-dir DATA         # MNIST
    python benchmarks/beyond_labels.py series --data-dir DATA --seeds 5   # ECG200
    python benchmarks/beyond_labels.py fine-tuning --data-dir DATA   # CIFAR-10
    python benchmarks/beyond_labels.py dense --data-dir DATA         # CIFAR-10's LeNet-5 over a photo
    python benchmarks/beyond_labels.py tiles --run RUN --image FILE  # a segmentation, whole and in tiles

Runs that already exist in the folder `--out` are reused.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import convnet
from convnet.data import open_data, read_sample
from convnet.data.images import degrade
from convnet.layers import structural_similarity
from convnet.settings import configure
from convnet.tasks import dense_outputs
from convnet.tasks.image_to_image import psnr


def mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{deviation}"


def trained(out: Path, recipe: str, **options: object) -> convnet.Run:
    if (out / "result.json").exists():
        return convnet.load_run(out)
    return convnet.train(recipe, out=out, **options)  # type: ignore[arg-type]


def print_table(rows: Sequence[Sequence[object]]) -> None:
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def denoise(arguments: argparse.Namespace) -> None:
    """A held-out photo with Gaussian noise of 25: the network, the best Gaussian blur, non-local means."""
    from skimage.restoration import denoise_nl_means

    run = trained(arguments.out / "denoise", "denoise-photos")
    dataset = open_data("photos", annotation="photos")
    index = dataset.places.index("flower.jpg")
    batch = run.task.transform(read_sample(dataset, index), None)
    noisy, truth = batch.images / 255, batch.targets

    Image.fromarray(batch.images[0].byte().permute(1, 2, 0).numpy()).save(arguments.out / "noisy.png")
    (made,) = run.predict([arguments.out / "noisy.png"])
    pixels = noisy[0].permute(1, 2, 0).numpy()
    sigma = 25 / 255  # which the rivals are told
    means = {
        h: denoise_nl_means(pixels, patch_size=5, patch_distance=6, h=h * sigma, sigma=sigma, channel_axis=-1)
        for h in (0.4, 0.6, 0.8, 1.0, 1.2)
    }
    found = {
        "noisy photo": noisy,
        **{
            f"Gaussian blur, {s:g} px": degrade.gaussian_blur(noisy, s)
            for s in (0.6, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5)
        },
        **{
            f"non-local means, h = {h} σ": torch.tensor(x).permute(2, 0, 1)[None].float()
            for h, x in means.items()
        },
        "this U-Net": torch.tensor(made.image).permute(2, 0, 1)[None] / 255,
    }
    rows: list[Sequence[object]] = [("flower.jpg, σ = 25", "PSNR", "SSIM")]
    for name, image in found.items():
        image = image.clamp(0, 1)
        alike = structural_similarity(image, truth).item()
        rows.append((name, f"{psnr(image, truth).item():.2f} dB", f"{alike:.4f}"))
    print_table(rows)


def unseen(arguments: argparse.Namespace) -> None:
    """The same network on photos that had no part in anything; rivals at their best for each photo."""
    from skimage.restoration import denoise_nl_means

    run = trained(arguments.out / "denoise", "denoise-photos")
    dataset = open_data(str(arguments.image), annotation="photos")
    rows = []
    for index in range(len(dataset)):
        batch = run.task.transform(read_sample(dataset, index), None)
        noisy, truth = batch.images / 255, batch.targets
        with torch.no_grad():
            made = dense_outputs(run.model, batch.images).clamp(0, 1)
        pixels, sigma = noisy[0].permute(1, 2, 0).numpy(), 25 / 255
        blurs = [degrade.gaussian_blur(noisy, s) for s in (0.6, 0.8, 1.0, 1.2, 1.5)]
        settings = {"patch_size": 5, "patch_distance": 6, "sigma": sigma, "channel_axis": -1}
        means = [denoise_nl_means(pixels, h=h * sigma, **settings) for h in (0.4, 0.6)]
        tensors = [torch.tensor(x).permute(2, 0, 1)[None].float().clamp(0, 1) for x in means]
        best = [max(psnr(x, truth).item() for x in images) for images in (blurs, tensors)]
        rows.append([psnr(noisy, truth).item(), *best, psnr(made, truth).item()])
    table = np.array(rows)
    names = ("noisy", "Gaussian blur", "non-local means", "this U-Net")
    found = table.mean(0).tolist()
    print_table([(name, f"{value:.2f} dB") for name, value in zip(names, found, strict=True)])
    print(f"n = {len(table)}; better than non-local means on {(table[:, 3] > table[:, 2]).sum()}")


def codes(arguments: argparse.Namespace) -> None:
    """32 numbers per digit: reconstruction beside PCA, and a linear classifier from 1,000 labels on each."""
    run = trained(arguments.out / "codes", "autoencoder-mnist")
    dataset = open_data("mnist")
    train = np.array([i for i, name in enumerate(dataset.info.given_split or ()) if name == "train"])
    test = np.array([i for i, name in enumerate(dataset.info.given_split or ()) if name == "test"])
    pixels = dataset.images.flatten(1).numpy() / 255
    coded = convnet.embed(run, out=arguments.out / "codes.npz")
    pca = PCA(32, random_state=0).fit(pixels[train])
    back = pca.inverse_transform(pca.transform(pixels[test]))
    error = float(np.mean((back.clip(0, 1) - pixels[test]) ** 2))
    rows: list[Sequence[object]] = [("", "squared error, test", "accuracy from 1,000 labels, test (5 draws)")]
    errors = {"pixels": None, "PCA, 32 components": error, "codes, 32": run.result["test"]["squared_error"]}
    inputs = {"pixels": pixels, "PCA, 32 components": pca.transform(pixels), "codes, 32": coded}
    labels = dataset.targets.numpy()
    for name, x in inputs.items():
        accuracies = []
        for seed in range(5):
            draws = np.random.default_rng(seed)
            few = np.concatenate(
                [draws.choice(train[labels[train] == k], 100, replace=False) for k in range(10)]
            )
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            accuracies.append(model.fit(x[few], labels[few]).score(x[test], labels[test]))
        shown = "–" if errors[name] is None else f"{errors[name]:.5f}"
        rows.append((name, shown, mean_and_deviation(accuracies)))
    print_table(rows)


def series(arguments: argparse.Namespace) -> None:
    """ECG200, its own test split: the temporal network, 1-NN and a linear model."""
    accuracies = []
    for seed in range(arguments.seeds):
        out = arguments.out / f"ecg200-{seed}"
        run = trained(out, "temporal-ecg200", seed=seed)
        accuracies.append(run.result["test"]["accuracy"])
    dataset = open_data("ecg200")
    x, y = dataset.images.flatten(1).numpy(), dataset.targets.numpy()
    train = np.array([name == "train" for name in dataset.info.given_split or ()])
    nearest = KNeighborsClassifier(1).fit(x[train], y[train]).score(x[~train], y[~train])
    linear = trained(
        arguments.out / "ecg200-linear",
        "ecg200",
        model="linear",
        split={"val": 0.0},
    )
    print_table(
        [
            ("ECG200, 100 test series", "accuracy"),
            (f"temporal (n = {len(accuracies)} seeds)", mean_and_deviation(accuracies)),
            ("1-NN, Euclidean", f"{nearest:.3f}"),
            ("linear", f"{linear.result['test']['accuracy']:.3f}"),
        ]
    )


def fine_tuning(arguments: argparse.Namespace) -> None:
    """ResNet-20: five classes of CIFAR-10 first, then the five others with 50 labels each; or these alone."""
    first = ["airplane", "automobile", "bird", "cat", "deer"]
    others = ["dog", "frog", "horse", "ship", "truck"]
    common = {"model": "resnet20"}
    base = trained(
        arguments.out / "cifar-first",
        "cifar10",
        **common,
        data={"classes": first},
        epochs=8,
        optimizer={"lr": 0.01},
    )
    found: dict[str, list[float]] = {"from scratch": [], "fine-tuned": []}
    for seed in range(arguments.seeds):
        few = {"per_class": 50, "seed": seed}
        settings = {
            **common,
            "data": {"classes": others},
            "split": few,
            "seed": seed,
            "batch_size": 32,
            "epochs": 40,
        }
        scratch = trained(arguments.out / f"cifar-scratch-{seed}", "cifar10", **settings)
        tuned = trained(
            arguments.out / f"cifar-tuned-{seed}", "cifar10", **settings, weights={"source": str(base.path)}
        )
        found["from scratch"].append(scratch.result["test"]["accuracy"])
        found["fine-tuned"].append(tuned.result["test"]["accuracy"])
    print(f"first five classes: {base.result['test']['accuracy']:.4f} of 5,000")
    print_table(
        [("5 other classes, 50 labels each, 5,000 test photos", f"accuracy (n = {arguments.seeds} seeds)")]
        + [(name, mean_and_deviation(accuracies)) for name, accuracies in found.items()]
    )


def dense(arguments: argparse.Namespace) -> None:
    """LeNet-5 over a photo at once, and window by window: the largest difference and the times, in turn."""
    run = trained(arguments.out / "lenet5", "cifar10", model="lenet5", epochs=5)
    Image.fromarray(load_sample_image("china.jpg")).save(arguments.out / "china.png")
    photo = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1)
    windows = photo.unfold(1, 32, 4).unfold(2, 32, 4).permute(1, 2, 0, 3, 4).flatten(0, 1)
    ratios, at_once = [], []
    for _ in range(5):
        found = run.predict_dense(arguments.out / "china.png")
        begun = time.perf_counter()
        with torch.no_grad():
            parts = [run.model(part).softmax(1) for part in windows.split(256)]
        ratios.append((time.perf_counter() - begun) / found.seconds)
        at_once.append(found.seconds)
    one_by_one = torch.cat(parts).T.view(found.probabilities.shape)
    difference = (one_by_one - found.probabilities).abs().max().item()
    rows, columns = found.probabilities.shape[1:]
    print(f"{rows}×{columns} windows of a 427×640 photo: largest difference {difference:.1e}")
    times = f"windows in batches of 256 {statistics.median(ratios):.1f} times as long (median of 5)"
    print(f"map {statistics.median(at_once):.3f} s; {times}")


def tiles(arguments: argparse.Namespace) -> None:
    """A mask of the whole image and in tiles."""
    run = convnet.load_run(arguments.run)
    (whole,) = run.predict([arguments.image])
    for tile in (64, 128, 256):
        (tiled,) = run.predict([arguments.image], tile=tile)
        differing = int((whole.indices != tiled.indices).sum())
        print(f"tiles of {tile}: {differing} of {whole.indices.size:,} pixels differ")


WHAT = {
    "denoise": denoise,
    "unseen": unseen,
    "codes": codes,
    "series": series,
    "fine-tuning": fine_tuning,
    "dense": dense,
    "tiles": tiles,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="of series and fine-tuning")
    parser.add_argument("--out", type=Path, default=Path("beyond-labels"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--image", type=Path)
    chosen = parser.parse_args()
    if chosen.data_dir:
        configure(data_dir=chosen.data_dir)
    chosen.out.mkdir(parents=True, exist_ok=True)
    WHAT[chosen.what](chosen)
