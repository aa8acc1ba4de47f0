"""Which method should I believe? The table of the Score-CAM paper on a real ImageNet model. Pictures go to FOLDER."""

import sys
from functools import partial
from pathlib import Path

import numpy as np

import tfxai
from tfxai import baselines, metrics, photos, plots, zoo

folder = Path(*sys.argv[1:2])
model, labels = zoo.efficientnet_lite0(), zoo.imagenet_labels()
images = np.stack([photos.fit(photo, (224, 224), crop=0.875) for photo in zoo.sample_photos().values()])

methods = {
    "Gradient": tfxai.Gradient(),
    "SmoothGrad": tfxai.SmoothGrad(samples=20),
    "IntegratedGradients": tfxai.IntegratedGradients(steps=20, baseline=baselines.blur(20)),
    "GradCAM": tfxai.GradCAM(),
    "GradCAMPlusPlus": tfxai.GradCAMPlusPlus(),
    "ScoreCAM": tfxai.ScoreCAM(channels=64),
    "LIME": tfxai.LIME(samples=100),
    "RISE": tfxai.RISE(samples=100),
    "Occlusion": tfxai.Occlusion(window=56, stride=56),
}
# Steps of 56 rows, for a quick look; without `step` they are single rows, as in the paper, and take 56 times as long.
deletion, insertion = (partial(each, step=56 * 224) for each in (metrics.deletion, metrics.insertion))
columns = ["average_drop", "average_increase", deletion, insertion]
table = tfxai.compare_methods(methods, model, images, columns, batch_size=8)
print(table)
table.to_csv(folder / "methods.csv")
plots.leaderboard(table).savefig(folder / "leaderboard.png")

# The curves behind one of the columns.
found = {
    name: deletion(model, methods[name](model, images, batch_size=8))
    for name in ("Gradient", "SmoothGrad", "GradCAM")
}
plots.curves(found).savefig(folder / "deletion.png")
for name, result in found.items():
    print(
        f"{name}: area {result.mean:.3f}, 95 % between {result.interval[0]:.3f} and {result.interval[1]:.3f}"
    )
