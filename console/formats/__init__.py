"""How dates and times are written where nothing else says how, which is in the admin."""
