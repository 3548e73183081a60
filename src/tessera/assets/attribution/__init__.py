"""Who is worth how much to a result: values of players in a game, and weights made of them.

A *game* says what each coalition of contributors is worth, usually what a model scores that was
trained on their parts alone. `shapley` turns a game into values with intervals, `weights` turns
values into the whole numbers of a manifest, `declared` reads the game that a publisher declares
beside his bundle, and `leaves` writes the outcome where publishing finds it. Nothing here trains,
waits or knows a process: that is `tessera.app`'s. Decided in `docs/adr/0031-attribution.md`.
"""
