"""Core's own migrations; a plugin's stay in its package."""
