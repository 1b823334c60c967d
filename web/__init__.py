"""What the sites share: how a page looks, what its headers promise, how errors are said, who may ask how often."""
