"""Yuma consensus: from stakes and score rows to who is paid what, the same on every machine.

`epoch` is the version to read, in plain integers; `fast` is the same bit for bit over arrays, and
`floats` a float64 twin for analysis. `inputs` says what an epoch depends on, `results` what it
answers, `fixed` how it counts. `python -m tessera.spec.consensus --vectors DIR` holds all of them
against reference vectors. The story is in `docs/explain/consensus.md`, the reasons in ADR 0067.

Nothing is imported here: who only needs the plain version does not wait for NumPy.
"""
