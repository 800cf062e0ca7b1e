"""``python -m cloudcart.cli``: the same program as the console script."""

from cloudcart.cli import main

main()
