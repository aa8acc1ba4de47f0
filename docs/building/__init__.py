"""How the site is built from the repository, apart from what Sphinx does by itself."""
