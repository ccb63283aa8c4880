"""The plugin's own history."""
