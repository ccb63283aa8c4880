"""What people may ask of a tenant about their data: a copy, its erasure, and that nothing is kept longer than the tenant says."""
