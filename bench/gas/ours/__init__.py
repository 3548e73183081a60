"""Our own contracts, deployed from the checked-in artifacts and used as people use them."""
