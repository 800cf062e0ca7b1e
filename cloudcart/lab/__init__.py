"""Where the shop runs: start it, attach to it, look at it, break it, end it."""
