"""What does an ImageNet model see in three photos, and where? Writes two pictures to the FOLDER it is given."""

import sys
from pathlib import Path

import numpy as np

import tfxai
from tfxai import baselines, photos, plots, predictions, zoo

folder = Path(*sys.argv[1:2])
model, labels = zoo.efficientnet_lite0(), zoo.imagenet_labels()
samples, names = zoo.sample_photos(), ("chelsea", "coffee", "rocket")
images = np.stack([photos.fit(samples[name], (224, 224), crop=0.875) for name in names])

print("What the model sees")
for name, row in zip(names, predictions.probabilities(model, images), strict=True):
    best = (-row).argsort()[:3]
    print(f"  {name:8}", ", ".join(f"{labels[k]} {row[k]:.0%}" for k in best))

# Each method explains the class that the model predicts, unless told otherwise.
integrated = tfxai.IntegratedGradients(tolerance="1%", baseline=baselines.blur(20))(
    model, images, batch_size=8
)
explanations = {
    "Grad-CAM": tfxai.GradCAM()(model, images),
    "LayerCAM, finer layer": tfxai.LayerCAM(layer="block5c_add")(model, images),
    "VarGrad": tfxai.VarGrad(samples=20)(model, images, batch_size=8),
    "Integrated gradients": integrated,
}
plots.compare(explanations, labels).savefig(folder / "imagenet_methods.png")

# The values of integrated gradients share out what the photo's details add to the logit.
print("Integrated gradients: what the blurred photo lacks, in units of the logit")
for name, values, score, delta in zip(
    names, integrated.values, integrated.scores, integrated.delta, strict=True
):
    rise = values.sum() - delta
    print(f"  {name:8} from {score - rise:.2f} to {score:.2f}: +{rise:.2f}, error {abs(delta) / rise:.2%}")

# The four classes that the model finds most likely for the cat, in one call.
classes = tfxai.GradCAM()(model, images[:1], tfxai.top(4))
plots.show(classes, labels).savefig(folder / "imagenet_classes.png")
peak = np.unravel_index(classes.heatmap()[0, 0].argmax(), (224, 224))
print(f"The cat's Grad-CAM is {classes.values.shape}; it peaks in row {peak[0]}, column {peak[1]}")
print(f"Pictures: {folder / 'imagenet_methods.png'}, {folder / 'imagenet_classes.png'}")
