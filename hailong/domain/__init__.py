"""Rules of the field as pure functions: what a dossier is, who is asked, what counts, when a unit is below its target."""
