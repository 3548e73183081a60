"""Paying for calls: vouchers that are accepted, charges that are kept, settlements that are sent.

An operator's `Ledger` decides whether a call is covered and remembers what it cost; a `Settler`
turns that into transactions. On the other side `Purse` keeps a consumer's own books: what he has
signed, what receipts prove, and what is in flight. Neither side believes the other's claims, only
signatures and the chain.
"""
