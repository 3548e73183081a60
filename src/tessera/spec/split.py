"""`Channels.vy`'s split of payments again in plain Python: cumulative floors.

Everybody's credit is the floor of their basis points of all that (asset, operator, terms) ever took
in. So a thousand small payments are worth exactly one large one, nothing can be evaded by paying
little, and the few base units that all the floors leave over wait until the next payment makes them
whole. Invariants `conserved`, `terms_at_call`, `holders_floor`; held against the contract by
`test_split_matches_spec.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tessera.units import BPS

__all__ = ["SplitModel", "SplitTerms", "Parts", "growth", "raised"]


@dataclass(frozen=True, slots=True)
class SplitTerms:
    """How the money of one (asset, operator, terms) is divided, in basis points.

    Attributes
    ----------
    fee_bps
        Network fee; the commons' half is the larger one where it is odd.
    cut_bps
        The operator's cut.
    royalties
        (parent asset, bps) in the order in which they were registered.
    """

    fee_bps: int
    cut_bps: int = 0
    royalties: tuple[tuple[int, int], ...] = ()

    def discounted(self, discount_bps: int) -> SplitTerms:
        """Terms of a price lowered by `discount_bps`: every part but the holders' keeps its worth.

        Parameters
        ----------
        discount_bps
            In [1, 10,000).

        Returns
        -------
        SplitTerms
            Each part raised, rounded up; what the rounding takes is the holders' too.
        """
        return SplitTerms(
            raised(self.fee_bps, discount_bps),
            raised(self.cut_bps, discount_bps),
            tuple((parent, raised(bps, discount_bps)) for parent, bps in self.royalties),
        )

    @property
    def commons_bps(self) -> int:
        """The commons' half of the fee, rounded up."""
        return (self.fee_bps + 1) // 2

    @property
    def validators_bps(self) -> int:
        """The validators' half of the fee, rounded down."""
        return self.fee_bps - self.commons_bps

    @property
    def left_bps(self) -> int:
        """What is left for the asset's holders, or its owner."""
        return BPS - self.fee_bps - self.cut_bps - sum(bps for _, bps in self.royalties)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one payment adds to everybody's credit, in base units.

    Attributes
    ----------
    commons, validators, operator, asset
        Their growth; `asset` is the holders' part.
    parents
        (parent asset, growth) for each royalty.
    """

    commons: int
    validators: int
    operator: int
    asset: int
    parents: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> int:
        """Sum of all parts; it may pass or miss the payment by a few units of earlier floors."""
        growths = (growth for _, growth in self.parents)
        return self.commons + self.validators + self.operator + self.asset + sum(growths)


def raised(bps: int, discount_bps: int) -> int:
    """Return the bps of a discounted price that are worth `bps` of the full one, rounded up."""
    left_bps = BPS - discount_bps
    return (bps * BPS + left_bps - 1) // left_bps


def growth(before: int, after: int, bps: int) -> int:
    """Compute how much the floor of `bps` of a cumulative sum grows.

    Parameters
    ----------
    before, after
        Cumulative base units, `before` not above `after`.
    bps
        Basis points.

    Returns
    -------
    int
        Base units; each floor rounds down and what it leaves comes with a later payment.
    """
    return after * bps // BPS - before * bps // BPS


@dataclass(slots=True)
class SplitModel:
    """The split of everything that one (asset, operator, terms) takes in.

    Attributes
    ----------
    terms
        Frozen when the terms were written.
    gross
        Base units taken in so far.
    credited
        Base units that went to somebody's credit.
    """

    terms: SplitTerms
    gross: int = 0
    credited: int = 0

    def credit(self, amount: int, *, lapsed: bool = False) -> Parts:
        """Take a payment in.

        Parameters
        ----------
        amount
            Base units.
        lapsed
            The terms were replaced longer ago than the registry's grace, so the cut is the asset's.

        Returns
        -------
        Parts
            What the payment adds to everybody, in base units.
        """
        before, after = self.gross, self.gross + amount
        terms = replace(self.terms, cut_bps=0) if lapsed else self.terms
        parts = Parts(
            commons=growth(before, after, terms.commons_bps),
            validators=growth(before, after, terms.validators_bps),
            operator=growth(before, after, terms.cut_bps),
            asset=growth(before, after, terms.left_bps),
            parents=tuple((parent, growth(before, after, bps)) for parent, bps in terms.royalties),
        )
        self.gross = after
        self.credited += parts.total
        return parts

    @property
    def left_over(self) -> int:
        """Base units that all the floors leave with Channels now; fewer than there are parts.

        A later payment makes them whole, but for one unit at most that stays where a cut lapses.
        """
        return self.gross - self.credited
