"""The officers' side: one page, and the same as JSON. Figures and alerts come through ports that the wiring fills."""
