"""What is written to citizens: templates in files, their words, their length and price."""
