"""How a translation is found: a search over what a model finds likely."""
