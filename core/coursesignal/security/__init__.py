"""Secrets and proofs: keys, sealed fields, passwords, tokens."""
