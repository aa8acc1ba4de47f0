"""Which textures does a real ImageNet network know a stone wall by, and from which layer on? Pictures go to FOLDER."""

import sys
from pathlib import Path

import matplotlib.image
import numpy as np
from modules import characters
from skimage import data

import tfxai
from tfxai import concepts, plots, predictions, zoo

folder = Path(*sys.argv[1:2])
model, labels, SIZE = zoo.efficientnet_lite0(), zoo.imagenet_labels(), 224
STONE_WALL = labels.index("stone wall")


def crops(photo: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Places of a grey photo, as the model takes them."""
    return characters.crops([np.stack([photo] * 3, axis=-1)], count, SIZE, seed).astype("float32")


# What the answer is known for: to this network close photos of gravel are stone walls. They come from the left half of a
# photo, and the concept from the right half.
gravel = data.gravel()
walls = crops(gravel[:, :256], 30, seed=0)
seen = predictions.probabilities(model, walls).argmax(axis=1)
print(f"{np.mean(seen == STONE_WALL):.0%} of {len(walls)} photos of gravel are a stone wall to the network")

ideas = {
    "gravel": crops(gravel[:, 256:], 30, 1),
    "brick": crops(data.brick(), 30, 2),
    "grass": crops(data.grass(), 30, 3),
}
ideas |= {
    kind: concepts.patterns(kind, 30, SIZE) for kind in ("striped", "dotted", "checked", "zigzag", "green")
}
photos = list(zoo.sample_photos().values())
random = [characters.crops(photos, 15, SIZE, seed).astype("float32") for seed in range(40)]

# Three depths of the network.
tcav = tfxai.TCAV(["block3b_add", "block5c_add", "block6d_add"], random_runs=20)
result = tcav(model, walls, STONE_WALL, ideas, random)
print(result)
for row in result.compare("gravel", "brick"):
    sure = "" if row["significant"] else ", which may be chance"
    print(f"{row['layer']}: gravel {row['score']:.2f}, brick {row['other_score']:.2f}{sure}")
plots.tcav(result, labels).savefig(folder / "tcav_textures.png")

# The same vectors sort any pictures: here crops of photos, most and least like stripes.
mixed = characters.crops(photos, 60, SIZE, seed=99).astype("float32")
order = concepts.sort_by_concept(model, "block5c_add", mixed, result.cavs["striped", "block5c_add"])
rows = [np.concatenate(list(mixed[some]), axis=1) for some in (order[:6], order[-6:])]
matplotlib.image.imsave(folder / "most_and_least_striped.png", np.concatenate(rows).astype("uint8"))
