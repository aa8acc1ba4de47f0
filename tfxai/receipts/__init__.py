"""Results proved: the explanation of a file made again, and the first thing that differs."""

from __future__ import annotations

from tfxai.receipts.differences import of_environments, of_settings, of_weights
from tfxai.receipts.exported import verify_exported
from tfxai.receipts.verifying import Verification, verify
from tfxai.results import Receipt

__all__ = ["Receipt", "Verification", "verify", "verify_exported"]
