"""Platform connections: credentials, the webhook inbox, sync runs."""
