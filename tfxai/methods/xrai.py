"""Regions in the order in which they matter, from integrated gradients and segmentations at several scales."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import find_objects
from skimage.morphology import dilation, disk
from skimage.segmentation import felzenszwalb

from tfxai.engines import Attribution, Block, Method, PathPoints, Paths, Request, Sum, attribution_along
from tfxai.model import Needs
from tfxai.support import Count

SCALES = (50, 100, 150, 250, 500, 1200)  # of the paper's segmentations
WIDER = 5  # pixels by which a region is widened, to hold its own edges


@dataclasses.dataclass(frozen=True)
class XRAI(Method):
    """Which whole regions does the class lean on, best first?

    One channel. Integrated gradients from black and from white (each image's own lowest and highest value) are
    averaged and summed over channels; regions of six segmentations are then taken greedily by their mean
    attribution, and each pixel gets the mean of the region part with which it was taken. Images only.
    Cost: 2 x `steps` forward and backward passes per image and target, and about a second of segmentation.

    steps:     points on each of the two paths.
    min_size:  smallest region, in pixels.
    smallest_gain: a region is only taken if it adds at least so many pixels.

    Raises ValueError if no input is an image (N, H, W, channels).
    Kapishnikov, Bolukbasi, Viégas, Terry: XRAI, 2019. arXiv:1906.02825, section 3
    """

    steps: Count = 50
    min_size: Count = 150
    smallest_gain: Count = 50
    not_one_graph = "it looks for regions, which needs Python. Export IntegratedGradients, and add its values up over regions there."
    needs = Needs(images_only=True)

    def attribute(self, request: Request) -> Attribution:
        network = request.network
        positions, weights = np.polynomial.legendre.leggauss(self.steps)
        positions, weights = (positions + 1) / 2, weights / 2

        def points(block: Block) -> PathPoints:
            return PathPoints.of(len(block.targets), positions, weights)

        def against(extreme: np.ufunc) -> Attribution:
            starts = [
                array
                if place is None
                else np.broadcast_to(extreme.reduce(array, axis=(1, 2, 3), keepdims=True), array.shape)
                for array, place in zip(network.arrays, network.places, strict=True)
            ]
            paths = Paths(request, starts=starts)
            return attribution_along(
                paths, lambda block: paths.contributions(block, paths.run(block, points(block), Sum()))
            )

        black, white = against(np.minimum), against(np.maximum)
        values = [
            None
            if from_black is None or from_white is None
            else self._maps(request, array, from_black, from_white)
            for array, from_black, from_white in zip(network.arrays, black.values, white.values, strict=True)
        ]
        return dataclasses.replace(black, values=values)

    def _maps(self, request: Request, images: NDArray, black: NDArray, white: NDArray) -> NDArray:
        """(rows, H, W, 1) of images (N, H, W, C), from their attributions (rows, H, W, C); one image's regions at a time."""
        maps = np.empty((*black.shape[:-1], 1), np.float32)
        for number, image in enumerate(images):
            regions = self._regions(image)
            for row in range(number * request.targets_each, (number + 1) * request.targets_each):
                maps[row, ..., 0] = self._ranked((black[row] + white[row]).sum(-1) / 2, regions)
        return maps

    def _regions(self, image: NDArray) -> sparse.csr_array:
        """(regions, pixels), of all scales: one where a pixel belongs to a region. A few entries for each pixel and scale."""
        low, high = image.min(), image.max()
        scaled = (image - low) / (high - low if high > low else 1)
        numbers = np.arange(image[..., 0].size, dtype=np.int32).reshape(image.shape[:2])
        members: list[NDArray] = []
        for scale in SCALES:
            labels = felzenszwalb(scaled, scale=scale, sigma=0.8, min_size=self.min_size, channel_axis=-1)
            for label, region in enumerate(find_objects(labels + 1)):
                # Only around the region: a whole image for each would take longer than the gradients.
                around = tuple(slice(max(s.start - WIDER, 0), s.stop + WIDER) for s in region)
                members.append(numbers[around][dilation(labels[around] == label, disk(WIDER))])
        ends = np.cumsum([0, *map(len, members)])
        pixels = np.concatenate(members)
        return sparse.csr_array(
            (np.ones(len(pixels), np.float32), pixels, ends), (len(members), numbers.size)
        )

    def _ranked(self, attribution: NDArray, regions: sparse.csr_array) -> NDArray:
        """Greedy cover: always the region whose still uncovered pixels have the highest mean attribution."""
        flat = attribution.reshape(-1).astype(np.float64)
        lies_in, count = regions.T.tocsr(), len(regions.indptr) - 1
        gains, sizes = regions @ flat, np.diff(regions.indptr).astype(np.float64)
        result, covered = np.zeros_like(flat), np.zeros(flat.shape, bool)
        while (sizes >= self.smallest_gain).any():
            density = np.where(sizes >= self.smallest_gain, gains / np.maximum(sizes, 1), -np.inf)
            best = density.argmax()
            pixels = regions.indices[regions.indptr[best] : regions.indptr[best + 1]]
            added = pixels[~covered[pixels]]
            result[added], covered[added] = density[best], True
            touched = lies_in[added]
            each = np.repeat(flat[added], np.diff(touched.indptr))
            gains -= np.bincount(touched.indices, each, count)
            sizes -= np.bincount(touched.indices, minlength=count)
        if not covered.all():
            result[~covered] = flat[~covered].mean()
        return result.reshape(attribution.shape)
