"""The ledger: purchases, their items and signed charges, folded from what platforms report in any order."""
