"""Payments that go in circles, and trades that change nobody's position (RF3).

Four methods look at one token's transfers between entities, and each says of each transfer whether
it is circular: trades with oneself, Victor & Weintraud's positions (`trades`), loops in the order
of time (`loops`), and payers that pay with the project's own money (`linkage`). `composite` puts
them together with a lower and an upper bound; statistics of all payments (`statistics`) only say
how far to trust that. `generator` makes markets in which every planted payment is known.

What each method is, what it cannot see, and how well it does: docs/explain/circular.md, `make
bench-rings`, ADR 0081.
"""
