"""What the command line takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from tfxai.cli import commands as run
from tfxai.version import __version__

DEMO_PICTURE = "tfxai_demo.png"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}. See: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    parser = Parser(prog="tfxai", description="What did a Keras model look at?")
    parser.add_argument("--version", action="version", version=f"tfxai {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    demo = add(
        "demo", run.demo, "Explain six photos with six methods: a first picture, without a model of your own."
    )
    demo.add_argument("--out", default=DEMO_PICTURE, metavar="FILE.png", help="default: %(default)s")

    predict = add("predict", run.predict, "List the classes that a model sees in photos.")
    _add_photos(predict)
    predict.add_argument("--top", type=int, default=5, metavar="K", help="classes to list (default: 5)")

    explain = add("explain", run.explain, "Draw what a model looked at in photos.")
    _add_photos(explain)
    explain.add_argument(
        "--method", required=True, metavar="NAME", help="such as grad_cam; see: tfxai methods"
    )
    explain.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                         help="settings of the method, such as steps=50")  # fmt: skip
    which = explain.add_mutually_exclusive_group()
    which.add_argument(
        "--target", metavar="K", help="class to explain, by number or name (default: the predicted one)"
    )
    which.add_argument("--top", type=int, metavar="K", help="explain the K best ranked classes")
    explain.add_argument("--layer", metavar="PATH", help="layer that the method reads; see: tfxai layers")
    explain.add_argument("--highlight", type=int, metavar="N",
                         help="draw only the N segments that speak most for the class (lime, kernel_shap)")  # fmt: skip
    explain.add_argument(
        "--out", metavar="FILE.png", help="picture to write (default: PHOTO_METHOD.png, unless --save)"
    )
    explain.add_argument("--save", metavar="FILE.npz", help="values to write, for tfxai.Explanation.load")

    sanity = add(
        "sanity", run.sanity, "Do explanations change when the model's weights are destroyed, layer by layer?"
    )
    _add_photos(sanity)
    sanity.add_argument(
        "--methods", required=True, metavar="NAME,NAME", help="such as gradient,guided_backprop,grad_cam"
    )
    sanity.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    sanity.add_argument(
        "--layers", metavar="NAME,NAME", help="parts of the model to destroy (default: every layer)"
    )
    sanity.add_argument("--mode", choices=("cascading", "independent"), default="cascading",
                        help="destroy one more layer at each step (default), or one at a time")  # fmt: skip
    sanity.add_argument("--seed", type=int, default=0, metavar="N", help="of the new weights (default: 0)")
    sanity.add_argument("--out", default="sanity.png", metavar="FILE.png", help="default: %(default)s")
    sanity.add_argument(
        "--save", metavar="FILE.npz", help="report to write, for tfxai.sanity.SanityReport.load"
    )

    tcav = add(
        "tcav",
        run.tcav,
        "Which concepts does a class lean on, in which layers? Concepts are folders of pictures.",
    )
    _add_feeding(tcav)
    tcav.add_argument(
        "--layer", required=True, metavar="PATH,PATH", help="layers to look into; see: tfxai layers"
    )
    tcav.add_argument("--target", required=True, metavar="K", help="class, by number or name")
    tcav.add_argument("--concepts", required=True, metavar="DIR",
                      help="a folder with one sub-folder of pictures for each concept; those called random... are random sets")  # fmt: skip
    tcav.add_argument(
        "--class-images", required=True, metavar="DIR", help="a folder with pictures of the class"
    )
    tcav.add_argument(
        "--random", metavar="DIR", help="a folder of unrelated pictures, or of sub-folders with them"
    )
    tcav.add_argument(
        "--runs", type=int, default=10, metavar="N", help="each wants two random sets (default: 10)"
    )
    tcav.add_argument("--classifier", default="logistic", metavar="NAME",
                      help="logistic (default), sgd, svm or mean_difference")  # fmt: skip
    tcav.add_argument("--cache", metavar="DIR", help="folder that keeps activations for the next call")
    tcav.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    tcav.add_argument("--out", default="tcav.png", metavar="FILE.png", help="default: %(default)s")
    tcav.add_argument("--save", metavar="FILE.npz", help="result to write, for tfxai.TCAVResult.load")

    evaluate = add(
        "evaluate", run.evaluate, "Which methods are faithful on your model and pictures? A table of metrics."
    )
    _add_feeding(evaluate)
    evaluate.add_argument("--images", required=True, metavar="DIR", help="a folder of pictures")
    evaluate.add_argument(
        "--methods", required=True, metavar="NAME,NAME", help="such as gradient,grad_cam,occlusion"
    )
    evaluate.add_argument("--metrics", default="deletion,insertion,average_drop,average_increase", metavar="NAME,NAME",
                          help="of tfxai.metrics (default: %(default)s)")  # fmt: skip
    evaluate.add_argument("--target", metavar="K", help="class to explain (default: the predicted ones)")
    evaluate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the control with noise (default: 0)"
    )
    evaluate.add_argument("--out", metavar="FILE.csv", help="table to write")
    evaluate.add_argument("--picture", metavar="FILE.png", help="chart to write")

    layers = add("layers", run.layers, "List the layers of a model that --layer can name.")
    _add_model(layers)
    add("methods", run.methods, "List the methods and their settings.")
    module = add("hub", run.hub, "List what is inside a SavedModel, TF-Hub module or frozen graph.")
    module.add_argument("path", metavar="PATH", help="folder, .pb file, or TF-Hub handle")
    module.add_argument("--signature", metavar="NAME", help="another than the one that is chosen")
    module.add_argument("--tags", metavar="TAG,TAG", help="of another variant, such as train")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help=".keras or .h5 file, SavedModel or module folder, frozen graph (.pb), TF-Hub handle, or demo",
    )
    parser.add_argument("--signature", metavar="NAME", help="of a SavedModel or module; see: tfxai hub")
    parser.add_argument(
        "--unsafe", action="store_true", help="let a Keras file run Python code that it carries"
    )


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    _add_feeding(parser)


def _add_feeding(parser: argparse.ArgumentParser) -> None:
    """The model, and how it takes photos."""
    _add_model(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names: one a line, or a JSON list or dict")
    parser.add_argument("--preprocess", default="none", metavar="NAME",
                        help="how the model takes pixels: none (0..255, the default), 0..1, -1..1, or a module of "
                        "keras.applications such as resnet50")  # fmt: skip
    parser.add_argument("--crop", type=float, metavar="F",
                        help="part of the photo's height and width to keep (default: 1; demo: 0.875)")  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="photos at once (default: 32)"
    )
