"""The test kit: pytest fixtures, contract classes and fake platforms for plugin authors, and for core's own tests."""
