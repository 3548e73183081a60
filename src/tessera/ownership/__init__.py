"""Owning: shares, their first sale, vesting, and what an account has of all that."""
