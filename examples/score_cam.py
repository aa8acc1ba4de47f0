"""Five class activation maps of four photos: three read gradients, two only watch the score. Writes FOLDER/score_cam.png."""

import sys
from pathlib import Path

import numpy as np

import tfxai
from tfxai import photos, plots, predictions, zoo

folder = Path(*sys.argv[1:2])
model, labels = zoo.efficientnet_lite0(), zoo.imagenet_labels()
samples, names = zoo.sample_photos(), ("chelsea", "coffee", "rocket", "motorcycle")
images = np.stack([photos.fit(samples[name], (224, 224), crop=0.875) for name in names])

methods = {
    "Score-CAM": tfxai.ScoreCAM(channels=128),  # the liveliest of 1280 maps: a tenth of the passes
    "Grad-CAM": tfxai.GradCAM(),
    "Grad-CAM++": tfxai.GradCAMPlusPlus(),
    "Layer-CAM": tfxai.LayerCAM(),
    "Ablation-CAM": tfxai.AblationCAM(),
}
found = {name: method(model, images) for name, method in methods.items()}
plots.compare(found, labels).savefig(folder / "score_cam.png")


def seen_through(maps, best):
    """Probability of each class when only the half of the photo where its map is brightest (darkest) is sharp."""
    bright = maps >= np.median(maps, axis=(1, 2), keepdims=True)
    half = np.where((bright == best)[..., None], images, tfxai.baselines.blur(20)(images))
    return predictions.probabilities(model, half)[np.arange(len(images)), found["Grad-CAM"].targets]


print("Probability of the class when one half of the photo is blurred", *(f"{name:>10}" for name in names))
halves = {}
for name, explanation in found.items():
    for best in (True, False):
        halves[name, best] = seen_through(explanation.heatmap(), best)
        text = f"  {name}: {'brighter' if best else 'darker'} half left"
        print(f"{text:62}", *(f"{share:10.1%}" for share in halves[name, best]))
print(f"Picture: {folder / 'score_cam.png'}")
