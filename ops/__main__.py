"""``python -m ops``: what ``bin/hailong`` runs once the environment stands."""

from ops.cli.main import main

main()
