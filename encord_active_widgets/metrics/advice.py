"""What each built-in metric is good for, and where it misleads: one entry a column, for `p.metrics()` and the pages."""

from __future__ import annotations

from dataclasses import replace

from .registry import MetricSpec

_Advice = tuple[str, str]

_SIZE = "A high value alone says nothing of quality: compare with what the camera or the model's input should give."
_COLOUR = (
    "Share of pixels, not strength: a pale tint below the saturation limit counts as none. Dark pixels have no hue."
)

_BY_NAME: dict[str, _Advice] = {
    "width": ("Finding images of another camera, thumbnails that slipped in, and what a crop size would cut.", _SIZE),
    "height": ("Finding images of another camera, thumbnails that slipped in, and what a crop size would cut.", _SIZE),
    "area": ("Finding thumbnails and giant images; planning batches and memory.", _SIZE),
    "aspect_ratio": (
        "Telling upright from wide images, and finding panoramas and strips that a square resize would squeeze.",
        "The turn that a camera noted (EXIF) is applied first, so the value may differ from what a plain reader says.",
    ),
    "file_size": (
        "Finding images that were saved with much loss, near-empty ones, and those that slow a loader down.",
        "Depends on format and encoder as much as on the picture: compare within one source.",
    ),
    "brightness": (
        "Finding images taken at night, lens caps, overexposure; balancing light across a training set.",
        "A mean: an image half black and half white is as bright as a grey one. For clipping see luma_p05, luma_p99.",
    ),
    "contrast": (
        "Finding fog, haze, empty walls, and images washed out by light.",
        "Global: a picture with two flat halves scores high, a fine texture of greys scores low.",
    ),
    "sharpness": (
        "Finding blurred and out-of-focus images among others of all resolutions; keeping the sharpest of a burst.",
        "It measures edges: clear sky, skin and walls score low without blur, noise and JPEG blocks score high.",
    ),
    "blur": (
        "The same as sharpness, for those who look for faults: sort descending.",
        "Smooth subjects look blurred to it. Judge the ends by eye before you drop anything.",
    ),
    "red": ("Slicing by dominant colour: sunsets, brake lights, stains.", _COLOUR),
    "green": ("Slicing by dominant colour: vegetation, sports fields, screens.", _COLOUR),
    "blue": ("Slicing by dominant colour: sky, water, cold white balance.", _COLOUR),
    "colourfulness": (
        "Finding washed-out or garish images, scans and infrared among photographs.",
        "It has no upper end, and the verbal scale was measured on photographs, not on graphics.",
    ),
    "saturation": (
        "Finding near-grey images and posters; checking an augmentation of colours.",
        "Dark noise has high saturation. Pure grey has 0 whatever its light.",
    ),
    "grayscale": (
        "Finding grey images among colour ones: scans, infrared, night cameras.",
        "0 or 1, nothing between. A sepia or tinted image is not grey.",
    ),
    "entropy": (
        "Finding empty images, flat graphics, and frames before a video begins.",
        "Only levels are counted, not where they lie: noise and a smooth gradient both score high.",
    ),
    "luma_p05": (
        "Finding overexposed images: where even the darkest parts are bright.",
        "Fog and white backgrounds (products, documents) are bright by intention.",
    ),
    "luma_p99": (
        "Finding underexposed images: where even the lights are dark.",
        "One lamp in 1 % of the pixels lifts it. A black border of 99 % hides the picture inside.",
    ),
    "odd_size": (
        "Finding images much smaller or larger than the rest of their set.",
        "Relative to this project: it changes as images come and go, and two sizes half and half are both normal.",
    ),
    "odd_aspect": (
        "Finding strips and panoramas, upright or wide alike.",
        "Relative to a square, not to the set: 16:9 gives 0.44 everywhere.",
    ),
    "random": (
        "Unbiased samples that stay the same: sort by it and take the head; brush a tenth of it in the explorer.",
        "Says nothing of the image, by definition.",
    ),
    "uniqueness": (
        "Finding near copies, and the images that have nothing like them.",
        "As good as the embedding. For groups of copies use p.duplicates(), which also asks perceptual hashes.",
    ),
    "typicality": (
        "Low: outliers, wrong folders, broken files. High: good first examples where few labels can be paid for.",
        "Dense regions may be mere copies: remove duplicates first. Values depend on the embedding's dimensions.",
    ),
    "diversity": (
        "Choosing a few images that cover the set: take the highest.",
        "The farthest point is often an outlier or a broken image: see the first picks, or use coverage in p.acquire.",
    ),
    "difficulty": (
        "Ordering from prototypes to odd ones, for curricula and for pruning large sets.",
        "Says how unlike its cluster a row is, not how hard for your model: use a run's confidence for that.",
    ),
    "object_count": (
        "Finding empty and crowded images; stratifying a split.",
        "Counts labels, not things: what nobody drew is not there.",
    ),
    "object_density": (
        "Finding images that are full or nearly empty; comparing with what detectors were trained on.",
        "Boxes cover more than their objects: do not compare a set of boxes with a set of masks.",
    ),
    "missing_objects": (
        "Finding frames on which labels were forgotten.",
        "Wants sequences and tracks or steady classes. A thing hidden for one frame is flagged as well.",
    ),
    "class_quality": (
        "Finding labels that contradict their neighbours: a first list of label errors without a model.",
        "Rare classes and coarse embeddings score low without being wrong: read it as a rank, and review.",
    ),
    "relative_area": (
        "Finding tiny objects that vanish when images are scaled, and boxes around everything.",
        "Above 1 where a label reaches over the border of the image.",
    ),
    "perimeter": (
        "Finding ragged outlines: divide by √area to compare shapes of different size.",
        "Grows with the number of points of an outline drawn by hand; masks count their pixel edges.",
    ),
    "border_closeness": (
        "Finding objects cut by the border, whose labels are often sloppy.",
        "Margins are compared, not measured: on a wide image, far from the border can still score high.",
    ),
    "max_iou_same_class": (
        "Finding objects drawn twice.",
        "Crowds overlap truly: pizzas on a table do not, people in a queue do.",
    ),
    "max_iou_other_class": (
        "Finding one thing with two classes, and mix-ups in an ontology.",
        "Parts lie in wholes by intention: a wheel in a car, a head in a person.",
    ),
    "shape_outlier": (
        "Finding outlines unlike their class: slips of the mouse, two objects in one, wrong classes.",
        "Relative to the class: few examples or many forms make it noisy. Of boxes only the proportions count.",
    ),
    "occlusion_risk": (
        "Finding frames where a tracked object is partly covered, or its label shrank by mistake.",
        "A thing that drives away shrinks too, but slowly, and is not flagged; a fast turn may be.",
    ),
    "shape_change": (
        "Finding frames where a label jumps in form along its track.",
        "Things that bend (people, animals) change truly: compare within a class.",
    ),
    "broken_track": (
        "Finding where a track goes on under another name, or after a gap.",
        "Things that really leave and come back look the same.",
    ),
    "inconsistent_class": (
        "Finding tracks whose class flips: the few labels against the many are the likely errors.",
        "Where half say one class and half another, both sides score one half.",
    ),
    "inconsistent_track": (
        "Finding two tracks that swapped their ids.",
        "Things that pass each other closely overlap from frame to frame without a swap.",
    ),
}

_BY_LEVEL: dict[tuple[str, str], _Advice] = {
    ("object", "area"): (
        "Finding specks of a stray click and boxes around everything; the sizes COCO's scores are split by.",
        "In pixels of the image as it is: use relative_area where resolutions differ.",
    ),
    ("object", "aspect_ratio"): (
        "Finding slivers, and choosing anchors; a turned box is measured along its own sides.",
        "Lines and points have none. Width and height of a turned box depend on how it was drawn.",
    ),
    ("object", "uniqueness"): (
        "Finding crops that are copies of each other, also the same object drawn twice.",
        "As good as the embedding of crops; small crops all look alike.",
    ),
}


def advised(spec: MetricSpec) -> MetricSpec:
    """Return the metric with its advice; one without an entry comes back as it is."""
    good_for, pitfalls = _BY_LEVEL.get((spec.level, spec.name), _BY_NAME.get(spec.name, ("", "")))
    return replace(spec, good_for=good_for, pitfalls=pitfalls)
