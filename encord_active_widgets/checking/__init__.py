"""Hold a project against limits: shares of faulty images and labels, scores of a run, leakage between splits."""

from .limits import Limits, default_limits, read_limits, write_limits
from .measures import MEASURES
from .result import CheckResult, check

__all__ = ["MEASURES", "CheckResult", "Limits", "check", "default_limits", "read_limits", "write_limits"]
