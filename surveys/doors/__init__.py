"""Ways to a dossier's one answer, and what people can do and see beside answering."""
