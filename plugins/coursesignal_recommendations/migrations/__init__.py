"""The plugin's own migrations."""
