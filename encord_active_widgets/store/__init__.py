"""The project folder: Delta tables, the edit log, locks and durability."""
