"""Are maps of a TF-Hub style module about the module? The test of arXiv:1810.03292, block by block. Pictures go to FOLDER."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from modules import tf1_module

import tfxai
from tfxai import baselines, photos, plots, predictions, sanity, zoo

folder = Path(*sys.argv[1:2])
labels = [
    "background",
    *zoo.imagenet_labels(),
]  # such modules count 1001 classes: a tiger cat is 283, not 282
PHOTOS = "chelsea", "coffee", "motorcycle"
images = np.stack([photos.fit(zoo.sample_photos()[name], (224, 224), crop=0.875) for name in PHOTOS])

# In the place of a download: a folder as TensorFlow 1 wrote modules, of a real ImageNet network.
path = Path(tempfile.mkdtemp()) / "efficientnet_lite0"
tf1_module.write(zoo.efficientnet_lite0(), path, name="EfficientNet", background=True)

module = tfxai.hub.load(path)
print("Signatures:", ", ".join(sorted(module.signatures)), "- chosen:", module.signature)
blocks = [name for name in module.endpoints if name.startswith("EfficientNet/")]
print(f"Blocks: {blocks[0]} ... {blocks[-1]} {module.endpoints[blocks[-1]].shape}")
print(f"{len(module.endpoints)} endpoints, {len(module.variables)} variables")

probability = predictions.probabilities(module, images)
classes = probability.argmax(axis=1)
for name, row, k in zip(PHOTOS, probability, classes, strict=True):
    print(f"{name}: class {k}, {labels[k]} {row[k]:.0%}")

# Side by side, as they are mostly shown; and what an inner block makes of it.
methods = {
    "Gradient": tfxai.Gradient(),
    "SmoothGrad": tfxai.SmoothGrad(samples=20),
    "Input x Gradient": tfxai.InputXGradient(),
    "Guided Backprop": tfxai.GuidedBackprop(),
    "Integrated Gradients": tfxai.IntegratedGradients(steps=20, baseline=baselines.blur(20)),
    "Grad-CAM, block5c": tfxai.GradCAM(layer="EfficientNet/block5c"),
}
found = {name: method(module, images, classes, batch_size=8) for name, method in methods.items()}
plots.compare(found, labels).savefig(folder / "sanity_methods.png")

# The cascade: from the logits down to the first convolution, whole blocks with their batch norms.
cascade = ["predictions", *(name.removeprefix("EfficientNet/") for name in reversed(blocks))]
tested = {name: methods[name] for name in ("Gradient", "Guided Backprop")} | {"Grad-CAM": tfxai.GradCAM()}
report = sanity.randomize_model(tested, module, images, classes, order=cascade, explanations=True)
print(f"What {len(cascade)} destroyed blocks leave of {labels[classes[0]]}")
for step, name in enumerate(["nothing yet", *report.layers]):
    seen, left = labels[report.predictions[step, 0]][:20], report.scores[step, 0]
    alike = "  ".join(f"{value:5.2f}" for value in report.similarity["spearman_abs"][:, step].mean(axis=1))
    print(f"  {name:12} {seen:20} {left:6.1%}   maps alike: {alike}")
print(", ".join(f"{name} {'passes' if passes else 'FAILS'}" for name, passes in report.verdict().items()))
plots.sanity(report, labels).savefig(folder / "sanity_cascade.png")
