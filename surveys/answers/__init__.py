"""The questionnaire as pages: what is shown, what is taken, when an answer is safe."""
