"""What dishonesty earns in a subnet, strategy by strategy, beside honesty in the same run."""
