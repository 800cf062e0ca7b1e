"""The pytest plugin: fixtures that give a running shop, markers that describe scenarios, options.

``plugin.py`` is what pytest loads, always, so it imports nothing heavy; ``fixtures.py`` is what tests ask for.
"""
