"""All that a check can measure; what each file defines adds itself."""

from . import image_measures, label_measures
from .subject import MEASURES, THRESHOLDS, Found, Measure, Subject

__all__ = ["MEASURES", "THRESHOLDS", "Found", "Measure", "Subject", "image_measures", "label_measures"]
