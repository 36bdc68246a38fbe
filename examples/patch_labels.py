"""The lectures' patch labeling on a real photo: what is sky, what is lake, temple, tree?

A small convnet learns from patches of 32×32 out of a few hand-drawn rectangles. Read as convolutions, it
then labels every window of the photo, also of the parts that no rectangle covers.

    python examples/patch_labels.py        # writes patches/, runs/patch-labels-… and china-labels.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import convnet

SIDE, STEP = 32, 8
RECTANGLES = {  # left, top, right, bottom
    "sky": [(330, 0, 560, 190)],
    "lake": [(352, 236, 545, 318)],
    "temple": [(105, 120, 320, 345)],
    "tree": [(330, 330, 570, 427), (0, 345, 190, 427), (578, 160, 640, 420)],
}


def cut_patches(photo: np.ndarray, folder: Path) -> None:
    for name, rectangles in RECTANGLES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for left, top, right, bottom in rectangles:
            for y in range(top, bottom - SIDE + 1, STEP):
                for x in range(left, right - SIDE + 1, STEP):
                    Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(folder / name / f"{y}-{x}.png")


def main() -> None:
    photo = load_sample_image("china.jpg")
    Image.fromarray(photo).save("china.png")
    cut_patches(photo, Path("patches"))
    run = convnet.train(
        "patches", model="lenet5", epochs=20, augment={"flip": True, "random_resized_crop": 0.5}
    )
    labels = run.predict_dense("china.png")
    labels.draw(Path("china-labels.png"))
    print(f"test accuracy of patches: {run.result['test']['accuracy']:.1%}")
    print("  ".join(f"{name} {share:.1%}" for name, share in labels.shares.items()))
    print(f"largest difference to the classifier on single patches: {labels.difference:.1e}")
    print(f"{labels.seconds:.2f} s; patch by patch {labels.patch_seconds:.1f} s")


if __name__ == "__main__":
    main()
