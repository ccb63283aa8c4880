"""Who is asking: users, sessions, API keys, and what each route demands of them."""
