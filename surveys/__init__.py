"""The citizen's side: links, texts, channels, pages."""
