"""Running models: what is asked of one, what it answers, and what the answer is charged as.

The room promises that an answer is complete, finite and inside stated limits, or that the caller
gets a `BackendFailed` and pays nothing. It knows no HTTP and no money: the gateway turns requests
into its structs, and prices turn its units into amounts.
"""
