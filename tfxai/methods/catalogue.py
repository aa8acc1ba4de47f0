"""Every method that there is: one import line and one name each."""

from __future__ import annotations

from tfxai.methods.ablation_cam import AblationCAM
from tfxai.methods.attention import AttentionRelevance, AttentionRollout
from tfxai.methods.blur_ig import BlurIG
from tfxai.methods.cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from tfxai.methods.conductance import Conductance
from tfxai.methods.deeplift import DeepLIFT
from tfxai.methods.expected_gradients import ExpectedGradients
from tfxai.methods.gradient import Gradient, InputXGradient
from tfxai.methods.guided_backprop import Deconvnet, GuidedBackprop
from tfxai.methods.guided_grad_cam import GuidedGradCAM
from tfxai.methods.guided_ig import GuidedIG
from tfxai.methods.integrated_gradients import IntegratedGradients
from tfxai.methods.lime import LIME
from tfxai.methods.lrp import LRP
from tfxai.methods.occlusion import Occlusion
from tfxai.methods.partition_shap import PartitionSHAP
from tfxai.methods.rise import RISE
from tfxai.methods.score_cam import ScoreCAM
from tfxai.methods.shapley import KernelSHAP, ShapleyInteractions
from tfxai.methods.smoothgrad import SmoothGrad, SquareGrad, VarGrad
from tfxai.methods.xrai import XRAI

__all__ = [
    "LIME",
    "LRP",
    "RISE",
    "XRAI",
    "AblationCAM",
    "AttentionRelevance",
    "AttentionRollout",
    "BlurIG",
    "Conductance",
    "DeepLIFT",
    "Deconvnet",
    "EigenCAM",
    "ExpectedGradients",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedBackprop",
    "GuidedGradCAM",
    "GuidedIG",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "LayerCAM",
    "Occlusion",
    "PartitionSHAP",
    "ScoreCAM",
    "ShapleyInteractions",
    "SmoothGrad",
    "SquareGrad",
    "VarGrad",
]
