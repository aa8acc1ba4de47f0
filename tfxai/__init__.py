"""tfxai: what did a TensorFlow model look at, and can the answer be trusted?"""

from tfxai import baselines, scores
from tfxai.activations import layers
from tfxai.explanation import Explanation
from tfxai.methods import *  # noqa: F403
from tfxai.methods import __all__ as _methods
from tfxai.scores import top
from tfxai.version import __version__

__all__ = ["Explanation", "baselines", "layers", "__version__", "scores", "top", *_methods]
