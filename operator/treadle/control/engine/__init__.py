"""The engine: a queue, a pass, and what a pass may do."""
