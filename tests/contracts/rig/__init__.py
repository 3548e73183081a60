"""What the contract tests stand on: a compiler, two engines, contracts, signers, a world."""
