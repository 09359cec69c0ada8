"""``python -m maskadapter`` is the same as the command ``maskadapter``."""

from maskadapter.cli import main

main()
