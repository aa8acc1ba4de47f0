"""Which regions make EfficientNet say "Egyptian cat", and would other segments tell another story? Pictures go to FOLDER."""

import itertools
import sys
from pathlib import Path

import numpy as np

import tfxai
from tfxai import photos, plots, predictions, zoo

folder = Path(*sys.argv[1:2])
model, labels = zoo.efficientnet_lite0(), zoo.imagenet_labels()
image = photos.fit(zoo.sample_photos()["chelsea"], (224, 224), crop=0.875)[None]
SEGMENTS, SAMPLES, TOP = 40, 400, 5  # the knobs: how finely to cut, how often to ask, how much to highlight

# The model's own list; the second entry is a rival of the cat's true kind, a tabby.
probability = predictions.probabilities(model, image)[0]
best = (-probability).argsort()[:5]
print("The model's list:", ", ".join(f"{labels[k]} {probability[k]:.0%}" for k in best))
chosen = int(best[1])


def explained(segmenter, seed=0):
    method = tfxai.LIME(segments=SEGMENTS, samples=SAMPLES, segmenter=segmenter, seed=seed)
    return method(model, image, chosen, score="probability")


def regions(explanation):
    """The TOP segments that speak most for the class, as a mask (H, W)."""
    return np.isin(explanation.segments[0], np.argsort(-np.nan_to_num(explanation.weights[0]))[:TOP])


found = {name: explained(name) for name in ("slic", "felzenszwalb", "quickshift", "watershed")}
print(f"What {SAMPLES} samples say about {labels[chosen]}")
for name, explanation in found.items():
    count, r2 = explanation.weights.shape[1], explanation.r2[0]
    print(f"  {name:12} {count:3} segments, {regions(explanation).mean():3.0%} highlighted, R2 {r2:.2f}")
    plots.segments(explanation, TOP, labels).savefig(folder / f"lime_{name}.png")
plots.compare(found, labels).savefig(folder / "lime_segmenters.png")


def agreement(one, other):
    both, either = regions(one) & regions(other), regions(one) | regions(other)
    return np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1], both.sum() / either.sum()


# Some of the movement is chance: the same segmenter with other coalitions says how much.
again = agreement(found["slic"], explained("slic", seed=1))
print(f"  slic, slic with another seed: correlation {again[0]:.2f}, highlighted alike {again[1]:.0%}")
moved = {pair: agreement(found[pair[0]], found[pair[1]]) for pair in itertools.combinations(found, 2)}
for pair, (correlation, alike) in moved.items():
    print(f"  {', '.join(pair)}: correlation {correlation:.2f}, highlighted alike {alike:.0%}")
